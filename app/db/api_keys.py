"""The API keys, as the database keeps them: never the key itself.

Every write is idempotent and leaves a WAL record even if nothing changes, as `app.db.bookmarks` says why.
"""

from datetime import datetime
from typing import Any

from app.api_keys import ApiKey, id_of
from app.db.connection import Connection
from app.limits import Tier

_FIND = "SELECT id, name, tier, created_at, expires_at, revoked_at FROM api_keys WHERE digest = %s"

# A key that is there keeps what it has, but for what makes it serve as it is asked to.
_PUT = """
INSERT INTO api_keys (id, digest, name, tier, expires_at)
VALUES (%(id)s, %(digest)s, %(name)s, %(tier)s, %(expires_at)s)
ON CONFLICT (id) DO UPDATE SET name = %(name)s, tier = %(tier)s, expires_at = %(expires_at)s
RETURNING id, name, tier, created_at, expires_at, revoked_at
"""

_REVOKE = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = %s
RETURNING id, name, tier, created_at, expires_at, revoked_at
"""

_LIST = "SELECT id, name, tier, created_at, expires_at, revoked_at FROM api_keys WHERE id > %s ORDER BY id LIMIT %s"


async def find(connection: Connection, digest: bytes) -> ApiKey | None:
    """Return the key with this digest, also one that is not good any more, or None if there is none."""
    row = await (await connection.execute(_FIND, (digest,))).fetchone()
    return None if row is None else _key(*row)


async def put(connection: Connection, *, digest: bytes, name: str, tier: Tier, expires_at: datetime | None) -> ApiKey:
    """Keep a key; return it as it is kept. One that was revoked stays so."""
    values = {"id": id_of(digest), "digest": digest, "name": name, "tier": tier.value, "expires_at": expires_at}
    row = await (await connection.execute(_PUT, values)).fetchone()
    assert row is not None
    return _key(*row)


async def revoke(connection: Connection, key_id: str) -> ApiKey | None:
    """Revoke a key; return it, or None if there is none. A second time changes nothing."""
    row = await (await connection.execute(_REVOKE, (key_id,))).fetchone()
    return None if row is None else _key(*row)


async def listed(connection: Connection, *, after: str, limit: int) -> list[ApiKey]:
    """Return the first `limit` keys behind the id `after`, by id."""
    cursor = await connection.execute(_LIST, (after, limit))
    return [_key(*row) for row in await cursor.fetchall()]


def _key(key_id: str, name: str, tier: str, *times: Any) -> ApiKey:
    return ApiKey(key_id, name, Tier(tier), *times)
