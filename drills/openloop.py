"""The open loop of writers and readers: what is due is sent when it is due, whatever became of what was sent before."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from drills.patience import within

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """A constant rate from a start on the monotonic clock.

    Invariant: the n-th write is due at the same moment however slow the writes before it were, so that an outage
    removes no arrival from the figures.
    """

    start_ns: int
    rate_per_second: float

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_second <= 10_000:
            raise ValueError(f"rate_per_second {self.rate_per_second}: must be above 0 and at most 10000")

    def due_ns(self, index: int) -> int:
        """Return when arrival `index`, counted from 0, is due."""
        return self.start_ns + round(index * NANOSECONDS / self.rate_per_second)


async def until_due(due_ns: int, stop: asyncio.Event) -> None:
    """Wait for a moment on the monotonic clock, or for `stop`."""
    delay_seconds = (due_ns - time.monotonic_ns()) / NANOSECONDS
    if delay_seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        await within(delay_seconds, stop.wait())
    except TimeoutError:
        return


class OpenLoop:
    """Sends what `schedule` wants, at most `in_flight_limit` at once.

    `send` gets the number of an arrival, counted from 0, and when it was due; `missed` is called with the same for one
    that could not be sent, because too many were under way.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        in_flight_limit: int,
        send: Callable[[int, int], Coroutine[Any, Any, None]],
        missed: Callable[[int, int], None],
    ) -> None:
        self._schedule = schedule
        self._in_flight_limit = in_flight_limit
        self._send = send
        self._missed = missed
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event, *, drain_seconds: float) -> None:
        """Send until `stop`, then wait for what is under way; raises what `send` raises. What is left is cancelled."""
        index = 0
        try:
            while not stop.is_set():
                due_ns = self._schedule.due_ns(index)
                await until_due(due_ns, stop)
                if stop.is_set():
                    break
                self._raise_failures()
                if len(self._under_way) < self._in_flight_limit:
                    self._under_way.add(asyncio.create_task(self._send(index, due_ns)))
                else:
                    self._missed(index, due_ns)
                index += 1
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=drain_seconds)
            self._raise_failures()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _raise_failures(self) -> None:
        """Forget what has ended; what could not be recorded ends the loop."""
        ended = {task for task in self._under_way if task.done()}
        self._under_way -= ended
        for task in ended:
            task.result()
