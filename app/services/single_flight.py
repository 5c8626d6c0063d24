"""One computation for all in this process who want the same thing at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: "asyncio.Task[T]"
    waiting: int = 0


class SingleFlight(Generic[T]):
    """Computations by key, each shared by those who ask for it while it runs.

    Invariant: a computation is cancelled when the last one who waits for it has gone, and not before; so a client that
    leaves takes its statement along, unless somebody else wants the answer.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    def __len__(self) -> int:
        return len(self._flights)

    async def join(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the running computation for `key` gives, or what `work` does; raises what it raises."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(_run(work)))
            flight.task.add_done_callback(lambda task: self._land(key, task))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._land(key, flight.task)
                flight.task.cancel()

    def _land(self, key: str, task: "asyncio.Task[T]") -> None:
        if key in self._flights and self._flights[key].task is task:
            del self._flights[key]
        if task.done() and not task.cancelled():
            task.exception()  # whoever waited may be gone; the loop must not report it as never retrieved


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
