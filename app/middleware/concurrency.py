"""How many requests are answered at once, and what happens to one more."""

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from app.metrics import Metrics
from app.problems import overloaded

_QUEUE_SECONDS = 0.003
"""How long a request waits for a slot before it is refused: longer than a burst. A refusal, queue and all, comes within
10 ms, so that whoever balances the load can ask another instance as if nothing had been."""

_QUEUE_SHARE = 0.1
"""Requests that may wait, as a share of those that may run."""

_RESERVED = 32
"""Slots of health and metrics: more than all probes and scrapers have, and a bound."""


class Slots:
    """At most `most` at once, and a short queue behind them, in order.

    Invariant: a slot that is given back goes to the first who waits, or is free; none is lost, whoever is cancelled.
    """

    def __init__(self, most: int, *, queue_seconds: float = _QUEUE_SECONDS) -> None:
        self.most = most
        self.longest_queue = max(1, round(most * _QUEUE_SHARE))
        self.in_use = 0
        self._queue_seconds = queue_seconds
        self._queue: deque[asyncio.Future[bool]] = deque()

    @property
    def waiting(self) -> int:
        """Count who waits."""
        return len(self._queue)

    async def take(self) -> bool:
        """Take a slot, waiting a moment for one; return False if there was none."""
        if self.in_use < self.most and not self._queue:
            self.in_use += 1
            return True
        if len(self._queue) >= self.longest_queue:
            return False
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._queue.append(turn)
        refusal = loop.call_later(self._queue_seconds, _refuse, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.done() and turn.result():
                self.give_back()  # it was given in the moment in which its taker left
            raise
        finally:
            refusal.cancel()
            with suppress(ValueError):
                self._queue.remove(turn)

    def give_back(self) -> None:
        """Give a taken slot back."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self.in_use -= 1


class Concurrency:
    """Gives each request a slot, or refuses it (503) with a time to come again.

    Paths in `free` have slots of their own: health and metrics must answer when nothing else does.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, most: int, free: frozenset[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._free = free
        self._since: dict[int, float] = {}
        self.slots = Slots(most)
        self.reserved = Slots(_RESERVED)

    @property
    def oldest_seconds(self) -> float:
        """Return the age of the request that has its slot for longest, 0 if none has one."""
        oldest = next(iter(self._since.values()), None)
        return 0.0 if oldest is None else monotonic() - oldest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reserved = scope["path"] in self._free
        slots = self.reserved if reserved else self.slots
        if not await slots.take():
            self._metrics.refused.inc()
            await overloaded().response(scope["hms.request_id"])(scope, receive, send)
            return
        if not reserved:
            self._since[id(scope)] = monotonic()
        try:
            await self._app(scope, receive, send)
        finally:
            self._since.pop(id(scope), None)
            slots.give_back()


def _refuse(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)
