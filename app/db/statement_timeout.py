"""The deadline of a request, told to the server: what nobody waits for ends there, even if nobody says so any more.

A request that is given up cancels its statement (`app.db.abandon`). But an instance that is killed, or cut off, cancels
nothing, and a statement that waits for a lock would go on waiting.

Telling costs a round trip, as much as a look-up. So a connection is told only if what it was told last is too short for
the deadline, or longer by more than `_SLACK_SECONDS` and a twentieth: requests of one kind have the same time, and most
find that it was said already.
"""

from collections.abc import Awaitable, Callable
from math import ceil
from typing import TypeVar
from weakref import WeakKeyDictionary

from app.db.connection import Connection
from app.deadline import Deadline

T = TypeVar("T")

_SLACK_SECONDS = 0.5
_SLACK_SHARE = 0.05

_SET = "SELECT set_config('statement_timeout', %s, false)"  # prepared once, which a SET with a value in it is not

_told_ms: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()


def bounded(work: Callable[[Connection], Awaitable[T]], deadline: Deadline) -> Callable[[Connection], Awaitable[T]]:
    """Return `work` on a connection whose statements end by themselves soon after `deadline`."""

    async def within_deadline(connection: Connection) -> T:
        needed_ms = ceil(deadline.remaining_seconds * 1000) or 1
        told_ms = _told_ms.get(connection)
        if told_ms is None or not needed_ms <= told_ms <= longest_ms(needed_ms):
            # Longer than needed by half the slack, so that the next request, a little later, finds it good as well.
            wanted_ms = (needed_ms + longest_ms(needed_ms)) // 2
            await connection.execute(_SET, (str(wanted_ms),))
            _told_ms[connection] = wanted_ms
        return await work(connection)

    return within_deadline


def longest_ms(needed_ms: int) -> int:
    """Return how long a connection's timeout may be for a request that still has `needed_ms`."""
    return round(needed_ms * (1 + _SLACK_SHARE) + _SLACK_SECONDS * 1000)
