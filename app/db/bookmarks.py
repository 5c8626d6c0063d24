"""The bookmarks of a user: the one durable write.

Every write here is idempotent and leaves a WAL record even if nothing changes. Without the record, a repeated write
would be acknowledged at once, although the commit of the first one may still wait for a standby or may have had its
wait cut short: it would be acknowledged and could be lost with the primary.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from app.db.connection import Connection

_PUT = """
WITH known AS (SELECT code FROM icd10_codes WHERE active AND code = %(code)s)
INSERT INTO bookmarks AS mark (user_name, code) SELECT %(user)s, code FROM known
ON CONFLICT (user_name, code) DO UPDATE SET created_at = mark.created_at
RETURNING xmax = 0
"""

_DELETE = """
WITH gone AS (DELETE FROM bookmarks WHERE user_name = %(user)s AND code = %(code)s RETURNING code)
SELECT pg_logical_emit_message(true, 'hms', ''), (SELECT count(*) FROM gone)
"""

_LIST = """
SELECT mark.code, code.title, mark.created_at
FROM bookmarks AS mark LEFT JOIN icd10_codes AS code ON code.active AND code.code = mark.code
WHERE mark.user_name = %s AND mark.code > %s ORDER BY mark.code LIMIT %s
"""


class Outcome(Enum):
    """What a PUT found."""

    CREATED = "created"
    EXISTED = "existed"
    UNKNOWN_CODE = "unknown code"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A bookmark; `title` is None if the code is not in the current release."""

    code: str
    title: str | None
    created_at: datetime


async def put(connection: Connection, *, user: str, code: str) -> Outcome:
    """Keep a bookmark of the canonical `code`."""
    row = await (await connection.execute(_PUT, {"user": user, "code": code})).fetchone()
    if row is None:
        return Outcome.UNKNOWN_CODE
    return Outcome.CREATED if row[0] else Outcome.EXISTED


async def delete(connection: Connection, *, user: str, code: str) -> None:
    """Remove a bookmark, if it is there."""
    await connection.execute(_DELETE, {"user": user, "code": code})


async def listed(connection: Connection, *, user: str, after: str, limit: int) -> list[Bookmark]:
    """Return the first `limit` bookmarks behind the code `after`, by code."""
    cursor = await connection.execute(_LIST, (user, after, limit))
    return [Bookmark(*row) for row in await cursor.fetchall()]
