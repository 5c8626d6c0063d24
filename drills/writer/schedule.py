"""When writes and reads are due: an open loop, which does not wait for the answers."""

import asyncio
import time
from dataclasses import dataclass

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
