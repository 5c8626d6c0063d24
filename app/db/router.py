"""The way of each read and write to a member of the database.

Invariants:
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
from time import monotonic
from typing import TypeVar

import psycopg
from psycopg.errors import Diagnostic

from app.db.connection import Connection, is_conflict, is_members_fault
from app.db.member import Member, Role
from app.deadline import Deadline
from app.errors import NotDurableError, TimedOutError, UnavailableError
from app.settings import PostgresSettings

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

_LOG = logging.getLogger("app.db.router")

_FIRST_ATTEMPT_SECONDS = 1.0
"""How long the first attempt may take. Each one after it has twice as long: slow work ends, a hang is left."""

_PAUSE_SECONDS = 0.05
"""Between two rounds over the members, if none changed its state."""

_READ_PATIENCE_SECONDS = 5.0
"""How long a read waits for a member while none answers: a restart, not an outage."""


class Router:
    """Sends work to the members. `retried` is called with a reason for each attempt that did not count."""

    def __init__(
        self, settings: PostgresSettings, *, statement_timeout_seconds: float, retried: Callable[[str], None]
    ) -> None:
        self.members = tuple(
            Member(
                address,
                settings,
                statement_timeout_seconds=statement_timeout_seconds,
                changed=self._announce,
            )
            for address in settings.hosts
        )
        self._retried = retried
        self._change = asyncio.Event()
        self._watchers: list[asyncio.Task[None]] = []
        self._turn = 0
        self._release: str | None = None
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
    def release(self) -> str | None:
        """Name the current release as it was last seen, the primary's first; None: no member ever had one."""
        up = sorted(self._up(), key=lambda member: member.view.role is not Role.PRIMARY)
        self._release = next((member.view.release for member in up if member.view.release), self._release)
        return self._release

    async def release_within(self, deadline: Deadline) -> str:
        """Return `release`, waiting for a member that has one. Raises `UnavailableError`."""
        patience = Deadline(seconds=min(_READ_PATIENCE_SECONDS, deadline.remaining_seconds))
        while (release := self.release) is None:
            if patience.passed:
                raise UnavailableError("no member of the database answers with a release that is loaded")
            await self._wait(patience.remaining_seconds)
        return release

    async def read(self, work: Work[T], deadline: Deadline, *, fresh: bool = False) -> T:
        """Do `work`, which only reads, on a replica, else on the primary; with `fresh`, on the primary if there is one.

        Raises `UnavailableError` if no member could be asked, `TimedOutError` if the one asked took too long.
        """
        patience = Deadline(seconds=min(_READ_PATIENCE_SECONDS, deadline.remaining_seconds))
        tried: set[Member] = set()
        seconds = _FIRST_ATTEMPT_SECONDS
        slow = False
        while not deadline.passed:
            member = self._reader(tried, fresh=fresh)
            if member is None:
                if patience.passed:
                    break
                tried.clear()
                await self._wait(_PAUSE_SECONDS)
                continue
            try:
                return await member.run(work, seconds=min(seconds, deadline.remaining_seconds))
            except (psycopg.Error, OSError, TimeoutError) as error:
                await self._judge(member, error)
                slow = isinstance(error, TimeoutError)
            tried.add(member)
            seconds *= 2
        if slow:
            raise TimedOutError("the database was still at work on this read")
        raise UnavailableError("no member of the database answered this read in time")

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

        seconds = _FIRST_ATTEMPT_SECONDS
        slow = False
        while not deadline.passed:
            member = self._primary()
            if member is None:
                await self._wait(deadline.remaining_seconds)
                continue
            try:
                return await member.run(warned, seconds=min(seconds, deadline.remaining_seconds))
            except NotDurableError as error:
                self._retried("not durable")
                _LOG.warning("a write was not durable, once more", extra={"fields": {"reason": str(error)}})
            except (psycopg.Error, OSError, TimeoutError) as error:
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

    def _reader(self, tried: set[Member], *, fresh: bool) -> Member | None:
        primary = self._primary()
        if fresh and primary is not None and primary not in tried:
            return primary
        replicas = [member for member in self._up() if member is not primary and member not in tried]
        if replicas:
            self._turn += 1
            turn = self._turn
            return min(enumerate(replicas), key=lambda pair: (pair[1].pool.in_use, (pair[0] + turn) % len(replicas)))[1]
        return primary if primary not in tried else None

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
