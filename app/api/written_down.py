"""Searches that are answered, on their way into the search log."""

from collections.abc import Awaitable, Callable
from functools import wraps
from time import monotonic

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import cache_status, service_of

Handler = Callable[[Request], Awaitable[Response]]

_HIT = cache_status(hit=True)["cache-status"]


class _Hit(msgspec.Struct):
    match: str


class _Page(msgspec.Struct):
    """What the log wants of a page; the hits are only counted, because reading them all costs ten times as much."""

    query: str
    release: str
    hits: list[msgspec.Raw]


_PAGE = msgspec.json.Decoder(_Page)
_FIRST = msgspec.json.Decoder(_Hit)


def written_down(handler: Handler) -> Handler:
    """Have each page of hits that `handler` answers with written down, from the cache or not.

    What is refused or fails is not, nor is what a user has only begun to type.
    """

    @wraps(handler)
    async def noting(request: Request) -> Response:
        began = monotonic()
        response = await handler(request)
        if response.status_code == 200:
            page = _PAGE.decode(response.body)
            service_of(request).search_log.note(
                query=page.query,
                release=page.release,
                hits=len(page.hits),
                matched=_FIRST.decode(page.hits[0]).match if page.hits else "none",
                cached=response.headers.get("cache-status") == _HIT,
                began=began,
            )
        return response

    return noting
