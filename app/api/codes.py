"""`GET /api/v1/codes/{code}` and `POST /api/v1/codes/batch`."""

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import code_of, deadline_of, from_cache_or, json_response, only, scope_of, service_of
from app.api.shapes import BatchAnswer, BatchRequest, CodeDetail, FoundCode, Group, MissingCode
from app.codes import canonical
from app.db import lookup
from app.db.wal import Position
from app.errors import InvalidCodeError
from app.openapi import CODE, RELEASE, Answer, operation
from app.problems import Problem, invalid, not_found
from app.services.tags import Tag

_ENCODER = msgspec.json.Encoder()
_BATCH = msgspec.json.Decoder(BatchRequest)
_PLACE = re.compile(r" - at `\$\.?(?P<place>[^`]*)`$")


@operation(tag="codes", parameters=(CODE, RELEASE), answers={200: Answer(CodeDetail)}, problems={404})
async def get_code(request: Request) -> Response:
    """Answer with everything that is known of a code; the dot is optional, the case does not matter."""
    only(request, "release")
    code = code_of(request)
    scope = await scope_of(request, request.query_params.get("release"))

    async def make(position: Position) -> tuple[bytes, bool]:
        found = await service_of(request).router.read(
            lambda connection: lookup.find(connection, code, scope.given), deadline_of(request), at_least=position
        )
        if found is None:
            raise not_found(f"code {code} is not in release {scope.name}")
        return _ENCODER.encode(_detail(found)), found.release == scope.name

    return await from_cache_or(request, f"code:{scope.name}:{code}", make, epoch=scope.epoch, tag=Tag.CODES)


@operation(tag="codes", answers={200: Answer(BatchAnswer)}, problems={408, 411, 415}, body=BatchRequest)
async def post_batch(request: Request) -> Response:
    """Look up to 1,000 codes up at once; what is not found is named, and fails nothing."""
    only(request)
    asked = _batch_of(request, await request.body())
    scope = await scope_of(request, asked.release)
    written = [_canonical(text) for text in asked.codes]
    codes = list({code for code in written if code is not None})
    lines = await service_of(request).router.read(
        lambda connection: lookup.find_many(connection, codes, scope.given), deadline_of(request)
    )
    answer = BatchAnswer(release=next((line.release for line in lines.values()), scope.name), found=[], not_found=[])
    for text, code in zip(asked.codes, written, strict=True):
        if code is None:
            answer.not_found.append(MissingCode(asked=text, reason="invalid"))
        elif (line := lines.get(code)) is None:
            answer.not_found.append(MissingCode(asked=text, reason="unknown"))
        else:
            answer.found.append(_found(text, line))
    return json_response(answer)


def _batch_of(request: Request, body: bytes) -> BatchRequest:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem(415, "unsupported-media-type", "The body is in no known format", detail="send application/json")
    try:
        return _BATCH.decode(body)
    except msgspec.ValidationError as error:
        message = str(error)
        found = _PLACE.search(message)
        raise invalid((found and found["place"]) or "body", _PLACE.sub("", message)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid("body", f"is not JSON: {error}") from error


def _canonical(text: str) -> str | None:
    try:
        return canonical(text)
    except InvalidCodeError:
        return None


def _found(asked: str, line: lookup.Line) -> FoundCode:
    return FoundCode(
        asked=asked,
        code=line.code,
        title=line.title,
        kind=line.kind,
        billable=line.billable,
        chapter=line.chapter,
        block=line.block,
        parent=line.parent,
    )


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
        ancestors=msgspec.Raw(code.ancestors.encode()),
        children=msgspec.Raw(code.children.encode()),
        synonyms=code.synonyms.split("\n") if code.synonyms else [],
        notes=msgspec.Raw(code.notes.encode()),
    )
