"""What keeps the service answering: bounds on size, on requests at once, and on time."""

import asyncio
from time import monotonic

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.deadline import Deadline
from app.metrics import Metrics
from app.problems import Problem, overloaded, timed_out

MOST_URL_BYTES = 4096
MOST_BODY_BYTES = 65_536

_QUEUE_SECONDS = 0.1
"""How long a request waits for a slot before it is refused: long enough for a burst, too short for a pile."""

_GRACE_SECONDS = 0.25
"""Beyond the deadline, for whoever waited until it to say what for; then the request is ended from outside."""

_QUEUE_SHARE = 0.1
"""Requests that may wait, as a share of those that may run."""


class Slots:
    """At most `most` at once, and a short queue behind them, in order."""

    def __init__(self, most: int) -> None:
        self._slots = asyncio.Semaphore(most)
        self._queue = max(1, round(most * _QUEUE_SHARE))
        self._waiting = 0

    async def take(self) -> bool:
        """Take a slot, waiting a moment for one; return False if there was none."""
        if self._slots.locked():
            if self._waiting >= self._queue:
                return False
            self._waiting += 1
            try:
                async with asyncio.timeout(_QUEUE_SECONDS):
                    await self._slots.acquire()
            except TimeoutError:
                return False
            finally:
                self._waiting -= 1
            return True
        await self._slots.acquire()
        return True

    def give_back(self) -> None:
        """Give a taken slot back."""
        self._slots.release()


class Protect:
    """Refuses what is too large (413, 414) or too much (503), and ends what takes too long (504).

    Paths in `free` have no slot to wait for: health and metrics must answer when nothing else does. The deadline is in
    the scope as `hms.deadline`, for whoever waits for something.
    """

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, max_concurrency: int, timeout_seconds: float, free: frozenset[str]
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._slots = Slots(max_concurrency)
        self._timeout_seconds = timeout_seconds
        self._free = free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (problem := _too_large(scope)) is not None:
            await problem.response(scope["hms.request_id"])(scope, receive, send)
            return
        if scope["path"] in self._free:
            await self._timed(scope, receive, send)
            return
        if not await self._slots.take():
            self._metrics.refused.inc()
            await overloaded().response(scope["hms.request_id"])(scope, receive, send)
            return
        try:
            await self._timed(scope, receive, send)
        finally:
            self._slots.give_back()

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        scope["hms.deadline"] = Deadline(seconds=self._timeout_seconds)
        try:
            async with asyncio.timeout(self._timeout_seconds + _GRACE_SECONDS):
                await self._app(scope, receive, noted)
        except TimeoutError:
            if begun:
                raise
            problem = timed_out(f"its deadline of {self._timeout_seconds:g} s has passed")
            await problem.response(scope["hms.request_id"])(scope, receive, send)


class Drain:
    """While the service stops, tells each client to take its next request elsewhere: `Connection: close`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.since: float | None = None

    @property
    def begun(self) -> bool:
        """Say whether the service stops."""
        return self.since is not None

    def begin(self) -> None:
        """Stop, from now on."""
        if self.since is None:
            self.since = monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self.since is not None:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, closing)


def _too_large(scope: Scope) -> Problem | None:
    url_bytes = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if url_bytes > MOST_URL_BYTES:
        detail = f"path and query have {url_bytes} bytes, {MOST_URL_BYTES} are allowed"
        return Problem(414, "url-too-long", "The address is too long", detail=detail)
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if b"transfer-encoding" in headers or not length.isdigit() or int(length) > MOST_BODY_BYTES:
        detail = f"no route reads a body; one of up to {MOST_BODY_BYTES} bytes, of stated length, is ignored"
        # What the client still sends would be taken for its next request.
        return Problem(413, "body-too-large", "The body is too large", detail=detail, headers={"connection": "close"})
    return None
