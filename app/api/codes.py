"""`GET /api/v1/codes/{code}` and `GET /api/v1/search`."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import code_of, deadline_of, from_cache_or, only, service_of, whole_of
from app.api.shapes import CodeDetail, Group, SearchHit, SearchPage
from app.db import lookup
from app.db.search import MOST_HITS, Hit, Query, search
from app.db.wal import Position
from app.errors import InvalidQueryError
from app.openapi import CODE, Answer, Parameter, limit_parameter, operation
from app.problems import invalid, not_found

_ENCODER = msgspec.json.Encoder()
_DEFAULT_HITS = 20


@operation(
    tag="codes",
    parameters=(CODE,),
    answers={200: Answer(CodeDetail)},
    problems={404},
)
async def get_code(request: Request) -> Response:
    """Answer with everything that is known of a code; the dot is optional, the case does not matter."""
    only(request)
    code = code_of(request)
    service, deadline = service_of(request), deadline_of(request)
    epoch = await service.router.epoch_within(deadline)

    async def make(position: Position) -> tuple[bytes, bool]:
        found = await service.router.read(lambda connection: lookup.find(connection, code), deadline, at_least=position)
        if found is None:
            raise not_found(f"code {code} is not in release {epoch.release}")
        return _ENCODER.encode(_detail(found)), True

    return await from_cache_or(request, f"code:{code}", make, epoch=epoch, tags=("codes",))


@operation(
    tag="search",
    parameters=(
        Parameter("q", str, "A code, the beginning of one, or words.", required=True, example="heart failure"),
        limit_parameter(default=_DEFAULT_HITS, most=MOST_HITS),
    ),
    answers={200: Answer(SearchPage)},
)
async def get_search(request: Request) -> Response:
    """Answer with the codes that a text finds."""
    only(request, "q", "limit")
    raw = request.query_params.get("q")
    if raw is None:
        raise invalid("q", "is missing: say what to search for")
    try:
        query = Query.parse(raw)
    except InvalidQueryError as error:
        raise invalid("q", str(error)) from error
    limit = whole_of(request, "limit", default=_DEFAULT_HITS, low=1, high=MOST_HITS)
    service, deadline = service_of(request), deadline_of(request)
    epoch = await service.router.epoch_within(deadline)

    async def make(position: Position) -> tuple[bytes, bool]:
        hits = await service.router.read(
            lambda connection: search(connection, query, limit=limit), deadline, at_least=position
        )
        return _ENCODER.encode(_page(query, epoch.release, hits)), True

    return await from_cache_or(request, f"search:{limit}:{query.text}", make, epoch=epoch, tags=("search",))


def _detail(code: lookup.Code) -> CodeDetail:
    return CodeDetail(
        code=code.code,
        title=code.title,
        release=code.release,
        kind=code.kind,
        billable=code.billable,
        chapter=Group(str(code.chapter), code.chapter_title),
        block=Group(code.block, code.block_title),
        parent=code.parent,
        children=code.children,
        synonyms=code.synonyms.split("\n") if code.synonyms else [],
        notes=msgspec.Raw(code.notes.encode()),
    )


def _page(query: Query, release: str, hits: tuple[Hit, ...]) -> SearchPage:
    return SearchPage(
        query=query.text,
        release=hits[0].release if hits else release,
        hits=[
            SearchHit(code=hit.code, title=hit.title, billable=hit.billable, chapter=hit.chapter, match=hit.match)
            for hit in hits
        ],
    )
