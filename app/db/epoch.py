"""Which release is current: what an instance may rely on without asking, and how a switch waits until none does.

Invariant: a request that begins after a switch was committed is answered from the new release, on every instance that
reaches the primary. It rests on a lease:

- An instance relies on what the primary told it for `LEASE_SECONDS` from before it asked, and only if no switch was
  announced then; otherwise each request has the primary asked.
- A switch is announced by a lock, taken `LEASE_SECONDS` and a margin before it is committed. A crash gives the lock up.
- An instance first asks for the lock and then for the release. If the lock was free, either the switch had not been
  announced and its commit is more than a lease away, or it was over and the release that is read is the new one.

Only durations are compared, each on one machine's clock. While no primary is reached nothing can be switched that this
instance could know of, and what it knew last stands.
"""

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from psycopg.errors import UndefinedTable

from app.db.connection import Connection
from app.db.wal import POSITION, START, Position

LEASE_SECONDS = 1.0

_MARGIN_SECONDS = 0.1
"""For clocks that do not run at the same speed, and a request that looked at its lease just before its end."""

SWITCH_LOCK = 7_264_310_502
"""The advisory lock of a switch; the number means nothing but must stay what it is."""


_ROLE = "SELECT pg_is_in_recovery(), pg_try_advisory_xact_lock_shared(%s)"

# The statement's snapshot is taken before the position is read, so the position is behind the release that is seen.
_RELEASE = f"""
SELECT {POSITION}, current.name, current.xmin::text::bigint
FROM (VALUES (1)) AS one LEFT JOIN icd10_releases AS current ON current.active
"""  # noqa: S608 - constants of ours


@dataclass(frozen=True, slots=True)
class Epoch:
    """The reign of a release, from the switch that made it current to the next one.

    `number` is the transaction of that switch: a release that comes back later has another one, so nothing that was
    kept of its first reign, or computed at its end, is taken for an answer of the second. `fence` is a position of the
    WAL from which on a member has it.
    """

    release: str
    number: int
    fence: Position = field(compare=False)

    def __str__(self) -> str:
        return f"{self.release}.{self.number}"


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a member said of itself, some time between the monotonic times `asked_at` and `told_at`.

    `position` is where it is: what it has written if it is the primary, what it has replayed if it is a replica.
    `settled`: no switch was announced.
    """

    primary: bool
    settled: bool
    position: Position
    epoch: Epoch | None
    asked_at: float
    told_at: float

    @property
    def leased(self) -> bool:
        """Say whether the epoch may be relied on without asking."""
        return self.primary and self.settled and monotonic() - self.asked_at < LEASE_SECONDS


async def look(connection: Connection) -> Sighting:
    """Ask a member what it is, where it is and which release is current there."""
    asked_at = monotonic()
    in_recovery, settled = await _row(connection, _ROLE, SWITCH_LOCK)
    try:
        position, release, number = await _row(connection, _RELEASE)
    except UndefinedTable:  # nothing was ever loaded
        position, release, number = START, None, 0
    epoch = Epoch(release, number, position) if release is not None else None
    return Sighting(not in_recovery, settled, position, epoch, asked_at, monotonic())


async def _row(connection: Connection, query: str, *values: object) -> tuple[Any, ...]:
    row = await (await connection.execute(query.encode(), values)).fetchone()
    assert row is not None
    return row


async def announce_switch(connection: Connection) -> None:
    """Begin to switch: returns when no instance relies on the release that was current.

    Called in the transaction that switches, before it says which release is current; the lock is given up with its end.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (SWITCH_LOCK,))
    await asyncio.sleep(LEASE_SECONDS + _MARGIN_SECONDS)
