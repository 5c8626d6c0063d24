"""`/api/v1/enterprise/...`: the expensive work, for the tier enterprise and the administrator, a few at a time.

Answers are streamed, one JSON document a line. A stream that cannot be finished ends without its last chunk: a client
that gets the end has everything.
"""

import logging
from collections.abc import AsyncIterator
from functools import partial

import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.requests import as_enterprise, deadline_of, only, service_of
from app.codes import canonical
from app.db import export
from app.deadline import Deadline
from app.errors import AppError, InvalidCodeError, ReleaseError
from app.middleware.concurrency import Slots
from app.openapi import Answer, Parameter, operation
from app.problems import Problem, invalid, not_found

_LOG = logging.getLogger("app.api.enterprise")
_NDJSON = "application/x-ndjson"

_RELEASE = Parameter(
    "release", str, "The name of a release that is loaded, or `current`.", place="path", example="current"
)


@operation(
    tag="enterprise",
    key="enterprise",
    parameters=(
        _RELEASE,
        Parameter("after", str, "Begin behind this code: an export that was cut off goes on.", example="E11.9"),
    ),
    answers={200: Answer(str, media=_NDJSON)},
    problems={401, 403, 404},
)
async def get_export(request: Request) -> Response:
    """Give every code of a release, by code, one JSON document a line."""
    as_enterprise(request)
    only(request, "after")
    service, deadline = service_of(request), deadline_of(request)
    release = await _release_of(request, str(request.path_params["release"]), deadline)
    codes = await _size(request, release)
    raw = request.query_params.get("after")
    try:
        after = canonical(raw) if raw is not None else ""
    except InvalidCodeError as error:
        raise invalid("after", str(error)) from error

    async def pages() -> AsyncIterator[bytes]:
        sent = 0
        last: str | None = after
        while last is not None:
            page = await service.router.read(partial(export.page, release=release, after=last), deadline)
            sent, last = sent + page.codes, page.last
            yield page.lines
        if not after and sent != codes:
            raise ReleaseError(
                f"release {release} has {codes} codes, and {sent} of them are there: it is being removed"
            )

    return _Stream(pages(), slots=service.enterprise, filename=f"icd10cm-{release}.ndjson")


@operation(
    tag="enterprise",
    key="enterprise",
    parameters=(
        Parameter("from", str, "The release to compare with, or `current`.", required=True),
        Parameter("to", str, "The release that is compared, or `current`.", required=True),
    ),
    answers={200: Answer(str, media=_NDJSON)},
    problems={401, 403, 404},
)
async def get_differences(request: Request) -> Response:
    """Give every code that two releases do not have the same, by code, one JSON document a line.

    `change` is added, removed or changed; `before` and `after` are the code in each, null where it is not.
    """
    as_enterprise(request)
    only(request, "from", "to")
    service, deadline = service_of(request), deadline_of(request)
    names = []
    for field in ("from", "to"):
        if (given := request.query_params.get(field)) is None:
            raise invalid(field, "is missing: name a release, or current")
        name = await _release_of(request, given, deadline)
        await _size(request, name)
        names.append(name)
    old, new = names

    async def pages() -> AsyncIterator[bytes]:
        last: str | None = ""
        while last is not None:
            page = await service.router.read(partial(export.differences, old=old, new=new, after=last), deadline)
            last = page.last
            yield page.lines

    return _Stream(pages(), slots=service.enterprise, filename=f"icd10cm-{old}-{new}.ndjson")


class _Stream(Response):
    """Pages as they come: the next is read only when the client took the one before.

    It holds a slot of the expensive work from the first page to the last; without one it is refused (503).
    """

    def __init__(self, pages: AsyncIterator[bytes], *, slots: Slots, filename: str) -> None:
        safe = "".join(character if character.isalnum() or character in "-._" else "_" for character in filename)
        super().__init__(headers={"content-disposition": f'attachment; filename="{safe}"'}, media_type=_NDJSON)
        # The length is not known, which is why it is sent in chunks.
        self.raw_headers = [pair for pair in self.raw_headers if pair[0] != b"content-length"]
        self._pages = pages
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pages."""
        if not await self._slots.take():
            raise Problem(
                503,
                "overloaded",
                "Too many exports at once",
                detail=f"this instance makes {self._slots.most} at once",
                retry_after_seconds=5,
            )
        try:
            await self._send(scope, receive, send)
        finally:
            self._slots.give_back()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before anything is sent, so that what fails here is still a problem document.
        page = await anext(self._pages, None)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            while page is not None:
                await send({"type": "http.response.body", "body": page, "more_body": True})
                page = await anext(self._pages, None)
        except (AppError, psycopg.Error) as error:
            fields = {"request_id": scope["hms.request_id"], "reason": str(error)}
            _LOG.warning("a stream was cut off", extra={"fields": fields})
            if (abort := scope.get("hms.abort")) is None:
                raise
            abort()
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _release_of(request: Request, given: str, deadline: Deadline) -> str:
    return await service_of(request).router.release_within(deadline) if given == "current" else given


async def _size(request: Request, release: str) -> int:
    if "\0" in release:
        raise not_found("no release has a zero byte in its name")
    codes = await service_of(request).router.read(partial(export.size, release=release), deadline_of(request))
    if codes is None:
        raise not_found(f"release {release[:100]} is not loaded")
    return codes
