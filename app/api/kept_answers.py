"""`/api/v1/admin/answers`: the administrator takes back what is kept, because data was mended by hand."""

from typing import Annotated

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import as_admin, deadline_of, json_response, only, service_of
from app.api.shapes import TakenBack
from app.db.epoch import look
from app.errors import RedisUnavailableError
from app.openapi import Answer, Parameter, operation
from app.problems import invalid, unavailable
from app.services.tags import Tag

_TAGS = ", ".join(tag.value for tag in Tag)
_LONGEST_PATTERN = 200
_TAG = Parameter("tag", Tag, "All that depends on this tag.", example=Tag.SEARCH.value)
_PATTERN = Parameter(
    "pattern",
    Annotated[str, Meta(min_length=1, max_length=_LONGEST_PATTERN)],
    "The answers whose names match, `*` and `?` as in file names; costs a look at every key.",
    example="search:*",
)


@operation(tag="admin", key="admin", parameters=(_TAG, _PATTERN), answers={200: Answer(TakenBack)}, problems={401, 403})
async def delete_answers(request: Request) -> Response:
    """Take back what is kept of answers, on all instances: by tag or by pattern.

    Tags: `codes`, what is looked up by code; `search`, what is searched or completed; `release`, on which both depend;
    `everything`. Only releases change what is answered, and need none of this: it is for who mends data by hand.
    """
    as_admin(request)
    only(request, "tag", "pattern")
    tag, pattern = request.query_params.get("tag"), request.query_params.get("pattern")
    if (tag is None) == (pattern is None):
        raise invalid("tag", "give either a tag or a pattern")
    service = service_of(request)
    if tag is not None:
        if tag not in {known.value for known in Tag}:
            raise invalid("tag", f"is the tag of no answer; there are: {_TAGS}")
        # Whoever computes anew reads from a member that has come to where the primary is now.
        now = await service.router.read(look, deadline_of(request), fresh=True)
        confirmed = await service.invalidator.tags(tag, position=now.position)
        return json_response(TakenBack(confirmed=confirmed), headers={"cache-control": "no-store"})
    if pattern is None or not 1 <= len(pattern) <= _LONGEST_PATTERN or not pattern.isprintable():
        raise invalid("pattern", f"must be 1 to {_LONGEST_PATTERN} printable characters")
    try:
        removed = await service.invalidator.pattern(pattern)
    except RedisUnavailableError as error:
        raise unavailable(str(error)) from error
    return json_response(TakenBack(confirmed=True, removed=removed), headers={"cache-control": "no-store"})
