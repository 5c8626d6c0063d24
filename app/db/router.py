"""The way of each read and write to a member of the database.

Invariants:
- A read goes to a member that has come to the position it needs: that of the release that is current, and that of a
  write that the client has seen acknowledged. It goes to a replica only if that lacks no more than the bound on
  staleness, as long as there is a primary to go to instead.
- A read that fails because of the member it was sent to is sent to another one, as long as the deadline allows.
- A write goes to the member that says it is the primary; if it fails because of the member, it is sent again, also to
  a new primary, as long as the deadline allows. So every write given to `write` must be idempotent: the outcome of
  an attempt whose connection broke is unknown, and it may have happened.
- No write is acknowledged on which the server warned: a commit whose wait for a standby was cut short succeeds, with a
  warning.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from random import uniform
from time import monotonic
from typing import TypeVar

import psycopg
from psycopg.errors import Diagnostic

from app.db.connection import Connection, is_conflict, is_members_fault
from app.db.currency import Currency
from app.db.epoch import Epoch, look
from app.db.member import Member, Role
from app.db.pool import Budget
from app.db.reader import Choice, Reader, choose
from app.db.statement_timeout import bounded
from app.db.wal import POSITION, START, History, Position
from app.deadline import Deadline
from app.errors import NotDurableError, SetAsideError, TimedOutError, UnavailableError
from app.settings import PostgresSettings

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

_LOG = logging.getLogger("app.db.router")

_FIRST_ATTEMPT_SECONDS = 1.0
"""How long the first attempt may take. Each one after it has twice as long: slow work ends, a hang is left."""

_SPREAD = 1.5
"""By which factor a write's first attempt may be longer."""

_PAUSE_SECONDS = 0.05
"""Between two rounds over the members, if none changed its state."""

_READ_PATIENCE_SECONDS = 5.0
"""How long a read waits for a member while none answers: a restart, not an outage."""

_ASK_SECONDS = 0.5
"""How long the primary may take to say which release is current."""

_WATCHER_CONNECTIONS = 2
"""To each member at most, beside the pools: one that watches, and one that hangs and is being given up."""

_SAMPLES = 100
"""Of the primary's position: some 15 s."""

_FAILURES = (psycopg.Error, OSError, TimeoutError, SetAsideError)
"""Of an attempt: whether the member is to blame is judged."""

_AT_THE_WRITE = f"SELECT {POSITION}"


class Router:
    """Sends work to the members.

    `retried` is called with a reason for each attempt that did not count, `chosen` with each choice of a reader.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        statement_timeout_seconds: float,
        retried: Callable[[str], None],
        chosen: Callable[[Choice], None],
    ) -> None:
        self.budget = Budget(settings.connections - _WATCHER_CONNECTIONS * len(settings.hosts))
        self.members = tuple(
            Member(
                address,
                settings,
                budget=self.budget,
                statement_timeout_seconds=statement_timeout_seconds,
                probed=self._learn,
                changed=self._announce,
            )
            for address in settings.hosts
        )
        self._staleness_seconds = settings.staleness_seconds
        self._history = History(samples=_SAMPLES)
        self._currency = Currency(self._ask_primary)
        self._retried = retried
        self._chosen = chosen
        self._change = asyncio.Event()
        self._watchers: list[asyncio.Task[None]] = []
        self._turn = 0
        self._silent_since: float | None = -inf

    async def start(self) -> None:
        """Begin to watch the members; waits for none of them."""
        self._watchers = [asyncio.create_task(member.watch()) for member in self.members]

    async def stop(self) -> None:
        """Stop watching and close every connection."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for member in self.members:
            await member.close()

    @property
    def ready(self) -> bool:
        """Say whether a read would be answered: a member answers with a release, or did so within a read's patience."""
        return self._silent_since is None or monotonic() - self._silent_since < _READ_PATIENCE_SECONDS

    @property
    def primary(self) -> Member | None:
        """Return the member that says it is the primary, if one does."""
        return self._primary()

    @property
    def release(self) -> str | None:
        """Name the current release as it was last seen, the primary's first; None: no member ever had one."""
        epoch = self._currency.epoch
        return epoch.release if epoch is not None else None

    def staleness(self, member: Member) -> float:
        """Return the seconds of commits that a read from this member may lack at most; 0 for the primary."""
        if member is self._primary():
            return 0.0
        return self._history.staleness(member.sighting.position, monotonic())

    async def epoch_within(self, deadline: Deadline) -> Epoch:
        """Return the current epoch, by the promise of `app.db.epoch`. Raises `UnavailableError` if there is none."""
        if self._currency.leased and (epoch := self._currency.epoch) is not None:
            return epoch
        patience = Deadline(seconds=min(_READ_PATIENCE_SECONDS, deadline.remaining_seconds))
        while (epoch := await self._currency.confirmed()) is None:
            if patience.passed:
                raise UnavailableError("no member of the database answers with a release that is loaded")
            await self._wait(patience.remaining_seconds)
        return epoch

    async def release_within(self, deadline: Deadline) -> str:
        """Name the current release, as `epoch_within` does."""
        return (await self.epoch_within(deadline)).release

    async def read(self, work: Work[T], deadline: Deadline, *, fresh: bool = False, at_least: Position = START) -> T:
        """Do `work`, which only reads, on a replica, else on the primary; with `fresh`, on the primary if there is one.

        The member has come to the position `at_least`, which a write has returned, whatever it costs to wait for one.
        Raises `UnavailableError` if no member could be asked, `TimedOutError` if the one asked took too long.
        """
        patience = Deadline(seconds=min(_READ_PATIENCE_SECONDS, deadline.remaining_seconds))
        tried: set[Member] = set()
        seconds = _FIRST_ATTEMPT_SECONDS
        slow = False
        while not deadline.passed:
            member = self._reader(tried, fresh=fresh, at_least=at_least)
            if member is None:
                if patience.passed:
                    break
                tried.clear()
                await self._wait(_PAUSE_SECONDS)
                continue
            try:
                return await member.run(bounded(work, deadline), seconds=min(seconds, deadline.remaining_seconds))
            except _FAILURES as error:
                await self._judge(member, error)
                slow = isinstance(error, TimeoutError)
            tried.add(member)
            seconds *= 2
        if slow:
            raise TimedOutError("the database was still at work on this read")
        raise UnavailableError("no member of the database answered this read in time")

    async def write_marked(self, work: Work[T], deadline: Deadline) -> tuple[T, Position]:
        """Do `work` as `write` does; return the position from which on a member has it, for who reads next."""

        async def marked(connection: Connection) -> tuple[T, Position]:
            result = await work(connection)
            row = await (await connection.execute(_AT_THE_WRITE.encode())).fetchone()
            assert row is not None
            return result, row[0]

        return await self.write(marked, deadline)

    async def write(self, work: Work[T], deadline: Deadline) -> T:
        """Do `work`, which must be idempotent, on the primary.

        Raises `UnavailableError` or `TimedOutError` if it was not acknowledged; it may have happened nevertheless.
        """

        async def warned(connection: Connection) -> T:
            warnings: list[Diagnostic] = []
            keep = warnings.append
            connection.add_notice_handler(keep)
            try:
                result = await work(connection)
            finally:
                connection.remove_notice_handler(keep)
            if warnings:
                raise NotDurableError(str(warnings[0].message_primary))
            return result

        # Not the same for all: what waits for one lock began together and would be given up together, each with a
        # connection to cancel it, and the loop would be late for everybody else.
        seconds = uniform(1, _SPREAD) * _FIRST_ATTEMPT_SECONDS  # noqa: S311 - spreads load, guards nothing
        slow = False
        while not deadline.passed:
            member = self._primary()
            if member is None:
                await self._wait(deadline.remaining_seconds)
                continue
            try:
                # A primary has no other beside it: who waits for a turn there waits as long as there is time, and a
                # thousand that wait do not all come back at once, again and again.
                remaining = deadline.remaining_seconds
                return await member.run(
                    bounded(warned, deadline), seconds=min(seconds, remaining), patience_seconds=remaining
                )
            except NotDurableError as error:
                self._retried("not durable")
                _LOG.warning("a write was not durable, once more", extra={"fields": {"reason": str(error)}})
            except _FAILURES as error:
                await self._judge(member, error)
                slow = isinstance(error, TimeoutError)
            seconds *= 2
            await self._wait(_PAUSE_SECONDS)
        if slow:
            raise TimedOutError("the database was still at work on this write")
        raise UnavailableError("no primary of the database acknowledged this write in time")

    async def _judge(self, member: Member, error: Exception) -> None:
        """Set the member aside if the failure is its own; raise the error again if it is the statement's."""
        if isinstance(error, TimeoutError):
            # It may be the statement that is slow: setting members aside for that would let one query close them all.
            self._retried("timeout")
            member.probe_soon()
            return
        if isinstance(error, SetAsideError):
            self._retried("set aside")
            return
        if isinstance(error, psycopg.Error) and is_conflict(error):
            self._retried("conflict")
            return
        if isinstance(error, psycopg.Error) and not is_members_fault(error):
            raise error
        self._retried(getattr(error, "sqlstate", None) or "connection")
        await member.set_aside()

    def _up(self) -> list[Member]:
        return [member for member in self.members if member.view.role is not Role.DOWN]

    def _primary(self) -> Member | None:
        """Return the primary; of two that say so, the one that says it for the shorter time: the other one is old."""
        primaries = [member for member in self._up() if member.view.role is Role.PRIMARY]
        return max(primaries, key=lambda member: member.primary_since, default=None)

    def _reader(self, tried: set[Member], *, fresh: bool, at_least: Position) -> Member | None:
        epoch = self._currency.epoch
        needed = max(at_least, epoch.fence if epoch is not None else START)
        primary = self._primary()
        now = monotonic()
        self._turn += 1
        readers = {
            member: Reader(
                primary=member is primary,
                staleness_seconds=self._history.staleness(member.sighting.position, now),
                position=member.sighting.position,
                reached=member.sighting.position >= needed,
                parted=self._history.is_beyond(member.sighting.position, member.sighting.told_at),
                load=member.pool.in_use,
            )
            for member in self._up()
            if member not in tried
        }
        found = choose(readers, most_stale_seconds=self._staleness_seconds, fresh=fresh, turn=self._turn)
        if found is None:
            return None
        self._chosen(found[1])
        return found[0]

    def _learn(self, member: Member) -> None:
        """Take what a probe saw: the primary's word on where it is, and on the release."""
        primary = self._primary()
        if member is primary:
            self._history.add(member.sighting.asked_at, member.sighting.position)
            self._currency.learn(member.sighting, member)
        elif primary is None:
            self._currency.suppose(member.sighting.epoch)

    async def _ask_primary(self) -> None:
        member = self._primary()
        if member is None:
            raise UnavailableError("no member of the database says that it is the primary")
        try:
            sighting = await member.run(look, seconds=_ASK_SECONDS)
        except _FAILURES as error:
            await self._judge(member, error)
            raise UnavailableError(f"{member.address} did not say which release is current") from error
        if not sighting.primary:
            await member.set_aside()
            raise UnavailableError(f"{member.address} is not the primary any more")
        self._currency.learn(sighting, member)

    def _announce(self) -> None:
        if any(member.view.release for member in self._up()):
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = monotonic()
        self._change.set()
        self._change = asyncio.Event()

    async def _wait(self, seconds: float) -> None:
        """Return when a member's state changes, or after `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._change.wait()
