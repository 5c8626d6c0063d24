"""`/api/v1/admin/keys`: the administrator makes, lists and revokes API keys."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import as_admin, deadline_of, json_response, only, service_of, whole_of
from app.api.shapes import KeyListed, KeyMade, KeyPage, KeyWanted
from app.api_keys import ApiKey, digest_of, new_key
from app.db import api_keys
from app.limits import Tier
from app.openapi import Answer, Parameter, limit_parameter, operation
from app.problems import invalid, not_found

_ID = re.compile(r"[0-9a-f]{16}")
_DECODER = msgspec.json.Decoder(KeyWanted)
_DEFAULT_LISTED = 100
_MOST_LISTED = 1000
_NO_STORE = {"cache-control": "no-store"}

_KEY_ID = Parameter("id", str, "The `id` of a key.", place="path", example="0123456789abcdef")


@operation(tag="admin", key="admin", body=KeyWanted, answers={201: Answer(KeyMade)}, problems={401, 403, 408, 411})
async def post_key(request: Request) -> Response:
    """Make an API key. This answer alone has the key itself: it is kept nowhere."""
    as_admin(request)
    only(request)
    try:
        wanted = _DECODER.decode(await request.body())
    except msgspec.DecodeError as error:
        raise invalid("body", str(error)) from error
    days = wanted.expires_in_days
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    key = new_key()
    kept = await service_of(request).router.write(
        lambda connection: api_keys.put(
            connection, digest=digest_of(key), name=wanted.name, tier=Tier(wanted.tier), expires_at=expires_at
        ),
        deadline_of(request),
    )
    made = KeyMade(
        key=key, id=kept.id, name=kept.name, tier=kept.tier, created_at=kept.created_at, expires_at=expires_at
    )
    return json_response(made, status=201, headers=_NO_STORE)


@operation(
    tag="admin",
    key="admin",
    parameters=(
        Parameter("after", str, "The `next` of the page before.", example="0123456789abcdef"),
        limit_parameter(default=_DEFAULT_LISTED, most=_MOST_LISTED),
    ),
    answers={200: Answer(KeyPage)},
    problems={401, 403},
)
async def get_keys(request: Request) -> Response:
    """List the API keys by id, in pages; revoked and expired ones, too."""
    as_admin(request)
    only(request, "after", "limit")
    limit = whole_of(request, "limit", default=_DEFAULT_LISTED, low=1, high=_MOST_LISTED)
    after = request.query_params.get("after", "")
    if after and not _ID.fullmatch(after):
        raise invalid("after", "must be the id of a key: 16 hexadecimal digits")
    found = await service_of(request).router.read(
        lambda connection: api_keys.listed(connection, after=after, limit=limit + 1), deadline_of(request), fresh=True
    )
    page = found[:limit]
    body = KeyPage(keys=[_listed(key) for key in page], next=page[-1].id if len(found) > limit else None)
    return json_response(body, headers=_NO_STORE)


@operation(tag="admin", key="admin", parameters=(_KEY_ID,), answers={200: Answer(KeyListed)}, problems={401, 403, 404})
async def delete_key(request: Request) -> Response:
    """Revoke an API key. It opens nothing 5 s later, on any instance."""
    as_admin(request)
    only(request)
    key_id = str(request.path_params["id"])
    if not _ID.fullmatch(key_id):
        raise invalid("id", "must be 16 hexadecimal digits")
    revoked = await service_of(request).router.write(
        lambda connection: api_keys.revoke(connection, key_id), deadline_of(request)
    )
    if revoked is None:
        raise not_found(f"there is no API key {key_id}")
    return json_response(_listed(revoked), headers=_NO_STORE)


def _listed(key: ApiKey) -> KeyListed:
    return KeyListed(
        id=key.id,
        name=key.name,
        tier=key.tier,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
