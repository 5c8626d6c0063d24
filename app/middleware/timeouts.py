"""The time that a request has, and what ends it before: its deadline, or that nobody waits for its answer any more."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.deadline import Deadline
from app.metrics import Metrics
from app.problems import timed_out
from app.settings import TimeoutSettings

_GRACE_SECONDS = 0.25
"""Beyond the deadline, for whoever waited until it to say what for; then the request is ended from outside."""

_WATCH_AFTER_SECONDS = 0.05
"""A request that is over by then is not worth watching: it ends sooner than its client could be missed."""

_ABORT_SECONDS = 1.0

_KINDS = (
    ("/api/v1/search", "search"),
    ("/api/v1/autocomplete", "search"),
    ("/api/v1/enterprise/", "enterprise"),
    ("/api/v1/health/", "health"),
    ("/metrics", "health"),
)


def kind_of(path: str) -> str:
    """Name the kind of a request, which decides how long it may take: search, enterprise, health or other."""
    return next((kind for beginning, kind in _KINDS if path.startswith(beginning)), "other")


def seconds_of(path: str, timeouts: TimeoutSettings) -> float:
    """Return how long a request for `path` may take."""
    return {
        "search": timeouts.search_seconds,
        "enterprise": timeouts.enterprise_seconds,
        "health": timeouts.health_seconds,
        "other": timeouts.other_seconds,
    }[kind_of(path)]


class Timeouts:
    """Ends what takes too long (504), and what nobody waits for.

    The deadline is in the scope as `hms.deadline`, for whoever waits for something. A client that leaves, or that takes
    nothing of its answer for `slow_client_seconds`, ends its request at once: the work is cancelled, and with it the
    statement in the database (`app.db.abandon`). An answer that has begun cannot become a 504: its connection is cut,
    so that the client sees that it is not whole.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, timeouts: TimeoutSettings) -> None:
        self._app = app
        self._metrics = metrics
        self._timeouts = timeouts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seconds = seconds_of(scope["path"], self._timeouts)
        scope["hms.deadline"] = Deadline(seconds=seconds)
        exchange = _Exchange(scope["hms.body"], receive, send, stall_seconds=self._timeouts.slow_client_seconds)
        watch = asyncio.get_running_loop().call_later(_WATCH_AFTER_SECONDS, exchange.watch)
        try:
            async with asyncio.timeout(seconds + _GRACE_SECONDS) as exchange.bound:
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            bound = exchange.bound
            if bound is None or not bound.expired():
                raise
            await self._ended(scope, exchange, seconds)
        finally:
            watch.cancel()
            exchange.close()

    async def _ended(self, scope: Scope, exchange: "_Exchange", seconds: float) -> None:
        if exchange.reason:
            scope["hms.client_left"] = True
            self._metrics.abandoned.labels(exchange.reason).inc()
        if exchange.reason == "left":
            return
        if exchange.begun:
            await _cut(scope, exchange)
            return
        problem = timed_out(f"its deadline of {seconds:g} s has passed")
        await problem.response(scope["hms.request_id"])(scope, exchange.receive, exchange.forward)


@dataclass(slots=True)
class _Exchange:
    """A request whose body is here, its answer as far as it was sent, and its client, who may be watched."""

    body: bytes
    source: Receive
    forward: Send
    stall_seconds: float
    begun: bool = False
    reason: str = ""
    bound: asyncio.Timeout | None = None
    _given: bool = False
    _watcher: asyncio.Task[None] | None = None
    _gone: asyncio.Event | None = None

    async def receive(self) -> Message:
        """Give the application the body, and then, when the client has left, that."""
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        self.watch()
        assert self._gone is not None
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the answer; if the client does not take it in time, the request is ended."""
        self.begun = True
        # A timer for each part, and no look at each request now and then: a thousand that wait would all be looked at
        # in one go, and who comes in that moment would wait for it.
        stalled = asyncio.get_running_loop().call_later(self.stall_seconds, self._end, "stalled")
        try:
            await self.forward(message)
        finally:
            stalled.cancel()

    def watch(self) -> None:
        """Begin to watch the client."""
        if self._watcher is None:
            self._gone = asyncio.Event()
            self._watcher = asyncio.create_task(self._watch(self._gone))

    def close(self) -> None:
        """Watch no more."""
        self.bound = None
        if self._watcher is not None:
            self._watcher.cancel()

    async def until_gone(self) -> None:
        """Return when the client is gone, or is not within a moment."""
        self.watch()
        assert self._gone is not None
        try:
            async with asyncio.timeout(_ABORT_SECONDS):
                await self._gone.wait()
        except TimeoutError:
            return

    async def _watch(self, gone: asyncio.Event) -> None:
        await _left(self.source)
        gone.set()
        self._end("left")

    def _end(self, reason: str) -> None:
        if self.bound is not None and not self.bound.expired() and not self.reason:
            self.reason = reason
            self.bound.reschedule(asyncio.get_running_loop().time())


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, exchange: _Exchange) -> None:
    """Cut the connection of an answer that will not become whole. Raises `TimeoutError` where the server cannot."""
    abort: Callable[[], None] | None = scope.get("hms.abort")
    if abort is None:
        raise TimeoutError("the answer had begun when its time was over")
    abort()
    await exchange.until_gone()
