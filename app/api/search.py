"""`GET /api/v1/search` and `GET /api/v1/autocomplete`."""

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import (
    deadline_of,
    from_cache_or,
    only,
    scope_of,
    service_of,
    truth_of,
    whole_of,
)
from app.api.shapes import SearchHit, SearchPage, Suggestion, Suggestions
from app.api.written_down import written_down
from app.db import cursor, wal
from app.db.connection import Connection
from app.db.cursor import START, Position
from app.db.partitioning import CHAPTERS
from app.db.query import EVERYTHING, Filters, Query
from app.db.search import MOST_HITS, Page, search
from app.errors import InvalidCursorError, InvalidQueryError, ReleaseChangedError
from app.openapi import RELEASE, Answer, Parameter, limit_parameter, operation
from app.problems import gone, invalid
from app.services.tags import Tag

_ENCODER = msgspec.json.Encoder()
_DEFAULT_HITS = 20

_DEFAULT_SUGGESTIONS = 10
_MOST_SUGGESTIONS = 25
_HITS_PER_SUGGESTION = 3
"""Titles that are there twice are suggested once, so more hits are read than are shown."""

_Q = Parameter("q", str, "A code, the beginning of one, or words.", required=True, example="heart failure")
_CHAPTER = Parameter(
    "chapter", Annotated[int, Meta(ge=1, le=len(CHAPTERS))], "Only codes of this chapter, by its number."
)
_BILLABLE = Parameter("billable", bool, "Only codes that are billable, or only those that are not.")
_CURSOR = Parameter("cursor", str, "The `next` of the page before, of the same search; without it, the first page.")


@operation(
    tag="search",
    parameters=(_Q, _CHAPTER, _BILLABLE, RELEASE, limit_parameter(default=_DEFAULT_HITS, most=MOST_HITS), _CURSOR),
    answers={200: Answer(SearchPage)},
    problems={410},
)
@written_down
async def get_search(request: Request) -> Response:
    """Answer with a page of the codes that a text finds: 410 if the list was begun in another release."""
    only(request, "q", "chapter", "billable", "release", "limit", "cursor")
    query = _query_of(request)
    asked = Filters(
        chapter=whole_of(request, "chapter", default=0, low=1, high=len(CHAPTERS)) or None,
        billable=truth_of(request, "billable"),
        release=request.query_params.get("release"),
    )
    limit = whole_of(request, "limit", default=_DEFAULT_HITS, low=1, high=MOST_HITS)
    text = request.query_params.get("cursor")
    start, begun_in = _cursor_of(text, query, asked)
    scope = await scope_of(request, asked.release)
    by_index = replace(asked, release=None)

    async def make(position: wal.Position) -> tuple[bytes, bool]:
        reading = _Reading(request, query, position, limit=limit, start=start)
        page = await reading.page(by_index if scope.is_current else asked)
        if asked.release is not None and page.release not in {None, asked.release}:
            page = await reading.page(asked)  # it was current until just now
        release = page.release or scope.name
        _same_release(begun_in, release)
        following = None if page.next is None else cursor.write(page.next, query, asked, release=release)
        return _ENCODER.encode(_page(query, release, page, following)), True

    _same_release(begun_in, scope.name)
    name = f"search:{scope.name}:{limit}:{asked.chapter}:{asked.billable}:{text}:{query.text}"
    return await from_cache_or(request, name, make, epoch=scope.epoch, tag=Tag.SEARCH)


@operation(
    tag="search",
    parameters=(_Q, limit_parameter(default=_DEFAULT_SUGGESTIONS, most=_MOST_SUGGESTIONS)),
    answers={200: Answer(Suggestions)},
)
async def get_autocomplete(request: Request) -> Response:
    """Answer with the codes that a text, still being typed, may become."""
    only(request, "q", "limit")
    query = _query_of(request)
    limit = whole_of(request, "limit", default=_DEFAULT_SUGGESTIONS, low=1, high=_MOST_SUGGESTIONS)
    scope = await scope_of(request, None)

    async def make(position: wal.Position) -> tuple[bytes, bool]:
        page = await _Reading(request, query, position, limit=limit * _HITS_PER_SUGGESTION).page(
            EVERYTHING, correct=False
        )
        first = {hit.title.casefold(): hit for hit in reversed(page.hits)}
        suggestions = [
            Suggestion(code=hit.code, title=hit.title) for hit in page.hits if first[hit.title.casefold()] is hit
        ]
        answer = Suggestions(query=query.text, release=page.release or scope.name, suggestions=suggestions[:limit])
        return _ENCODER.encode(answer), True

    name = f"autocomplete:{limit}:{query.text}"
    return await from_cache_or(request, name, make, epoch=scope.epoch, tag=Tag.SEARCH)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One page that is read for a request, from a member that has come to `position`."""

    request: Request
    query: Query
    position: wal.Position
    limit: int
    start: Position = START

    async def page(self, filters: Filters, *, correct: bool = True) -> Page:
        """Read the page; once more if a release was made current in the middle of it."""
        service, deadline = service_of(self.request), deadline_of(self.request)

        async def work(connection: Connection) -> Page:
            return await search(connection, self.query, filters, limit=self.limit, start=self.start, correct=correct)

        try:
            return await service.router.read(work, deadline, at_least=self.position)
        except ReleaseChangedError:
            return await service.router.read(work, deadline, at_least=self.position)


def _same_release(begun_in: str | None, release: str) -> None:
    if begun_in not in {None, release}:
        raise gone(f"the list was begun in release {begun_in}, and this is {release}: begin it again without a cursor")


def _query_of(request: Request) -> Query:
    raw = request.query_params.get("q")
    if raw is None:
        raise invalid("q", "is missing: say what to search for")
    try:
        return Query.parse(raw)
    except InvalidQueryError as error:
        raise invalid("q", str(error)) from error


def _cursor_of(text: str | None, query: Query, filters: Filters) -> tuple[Position, str | None]:
    if text is None:
        return START, None
    try:
        return cursor.read(text, query, filters)
    except InvalidCursorError as error:
        raise invalid("cursor", str(error)) from error


def _page(query: Query, release: str, page: Page, following: str | None) -> SearchPage:
    return SearchPage(
        query=query.text,
        release=release,
        hits=[
            SearchHit(code=hit.code, title=hit.title, billable=hit.billable, chapter=hit.chapter, match=hit.match)
            for hit in page.hits
        ],
        did_you_mean=page.corrected,
        next=following,
    )
