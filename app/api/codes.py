"""`GET /api/v1/codes/{code}` and `GET /api/v1/search`."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import cache_status, code_of, deadline_of, json_response, only, service_of, whole_of
from app.api.shapes import CodeDetail, Group, SearchHit, SearchPage
from app.db import lookup
from app.db.search import MOST_HITS, Hit, Query, search
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
    release = await service.router.release_within(deadline)
    key = f"app:{release}:code:{code}"
    if (kept := await service.cache.get(key)) is not None:
        return json_response(kept, headers=cache_status(hit=True))
    found = await service.router.read(lambda connection: lookup.find(connection, code), deadline)
    if found is None:
        raise not_found(f"code {code} is not in release {release}")
    body = _ENCODER.encode(_detail(found))
    if found.release == release:
        await service.cache.put(key, body)
    return json_response(body, headers=cache_status(hit=False))


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
    release = await service.router.release_within(deadline)
    key = f"app:{release}:search:{limit}:{query.text}"
    if (kept := await service.cache.get(key)) is not None:
        return json_response(kept, headers=cache_status(hit=True))
    hits = await service.router.read(lambda connection: search(connection, query, limit=limit), deadline)
    body = _ENCODER.encode(_page(query, release, hits))
    # An answer of another release, while a new one is made current, must not be kept under this one's name.
    if hits and all(hit.release == release for hit in hits):
        await service.cache.put(key, body)
    return json_response(body, headers=cache_status(hit=False))


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
