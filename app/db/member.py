"""One member of the database as this process sees it: its role, whether it answers, and the connections to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import TypeVar

import psycopg

from app.db.abandon import within
from app.db.connection import Connection, connect
from app.db.epoch import Epoch, Sighting, look
from app.db.pool import Budget, Pool
from app.db.wal import START
from app.settings import Address, PostgresSettings
from app.tracing import span

T = TypeVar("T")

_LOG = logging.getLogger("app.db.member")

_PROBE_INTERVAL_SECONDS = 0.15
_PROBE_TIMEOUT_SECONDS = 0.6
"""Together they bound how long a member that hangs is still asked: 0.75 s, a quarter below what is promised, which
leaves room for a loop that is late. A probe takes a millisecond; a server that needs the whole of its time hangs."""


class Role(Enum):
    """What a member says that it is, or that it says nothing."""

    PRIMARY = "primary"
    REPLICA = "replica"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class View:
    """What the last probe saw that seldom changes: the role, and the release that is current there, if one is."""

    role: Role
    epoch: Epoch | None

    @property
    def release(self) -> str | None:
        """Name the release."""
        return self.epoch.release if self.epoch is not None else None


_DOWN = View(Role.DOWN, None)
_UNSEEN = Sighting(False, False, START, None, float("-inf"), float("-inf"))


class Member:
    """One server, watched over a connection of its own.

    `view` is never older than a probe's interval and timeout. A failure seen by a request sets the member aside at
    once; only a probe that succeeds takes it back, so that one request at most pays for each of a dead member's
    connections. `sighting` is all that the last probe that succeeded saw; `probed` is called after each of those, and
    `changed` when the view changed.
    """

    def __init__(
        self,
        address: Address,
        settings: PostgresSettings,
        *,
        budget: Budget,
        statement_timeout_seconds: float,
        probed: Callable[["Member"], None],
        changed: Callable[[], None],
    ) -> None:
        async def open_connection() -> Connection:
            return await connect(
                address, settings, application="hms-app", statement_timeout_seconds=statement_timeout_seconds
            )

        self.address = address
        self._name = str(address)
        self.view = _DOWN
        self.sighting = _UNSEEN
        self.primary_since = 0.0
        self.pool = Pool(open_connection, size=settings.pool_size, budget=budget)
        self._probed = probed
        self._open_connection = open_connection
        self._changed = changed
        self._suspect = asyncio.Event()
        self._watcher: Connection | None = None

    async def run(
        self, work: Callable[[Connection], Awaitable[T]], *, seconds: float, patience_seconds: float | None = None
    ) -> T:
        """Do `work` on a connection to this member, within `seconds` from when it is its turn.

        It waits for its turn for `patience_seconds`, or for `seconds`. Raises `TimeoutError` beyond either,
        `SetAsideError` if the member is set aside meanwhile, and what it raises.
        """

        async def lent() -> T:
            with span("postgres", {"db.system.name": "postgresql", "server.address": self._name}):
                async with self.pool.connection() as connection:
                    return await work(connection)

        await self.pool.turns.take(seconds=seconds if patience_seconds is None else patience_seconds)
        task = asyncio.ensure_future(lent())
        # Not before the task has ended: what is given up still has its connection until the server has answered.
        task.add_done_callback(lambda _: self.pool.turns.give_back())
        return await within(seconds, task)

    async def set_aside(self) -> None:
        """Ask nothing of this member until a probe succeeds, which is tried at once."""
        self._become(_DOWN)
        self._suspect.set()
        await self.pool.renew()

    def probe_soon(self) -> None:
        """Have the member probed at once: something was slow, and only a probe can tell whether it was the member."""
        self._suspect.set()

    async def watch(self) -> None:
        """Keep `view` true until cancelled."""
        while True:
            view = await self._probe()
            if view is _DOWN and self.view is not _DOWN:
                await self.pool.renew()
            self._become(view)
            if view is not _DOWN:
                self._probed(self)
            self._suspect.clear()
            try:
                async with asyncio.timeout(_PROBE_INTERVAL_SECONDS):
                    await self._suspect.wait()
                # A request saw a failure: give the member a moment, or a dead one would be asked without a pause.
                await asyncio.sleep(_PROBE_INTERVAL_SECONDS / 5)
            except TimeoutError:
                pass

    async def close(self) -> None:
        """Close every connection. `watch` must have ended."""
        await self._forget_watcher()
        await self.pool.renew()

    async def _probe(self) -> View:
        try:
            self.sighting = seen = await within(_PROBE_TIMEOUT_SECONDS, self._ask())
            return View(Role.PRIMARY if seen.primary else Role.REPLICA, seen.epoch)
        except (psycopg.Error, OSError, TimeoutError) as error:
            if self.view is not _DOWN:
                reason = str(error).strip() or f"no answer within {_PROBE_TIMEOUT_SECONDS} s"
                _LOG.warning("member is down", extra={"fields": {"member": str(self.address), "reason": reason}})
            self._watcher = None  # whoever uses it still closes it
            return _DOWN

    async def _ask(self) -> Sighting:
        connection = self._watcher
        if connection is None:
            connection = await self._open_connection()
        try:
            sighting = await look(connection)
        except BaseException:
            await connection.close()
            raise
        self._watcher = connection
        return sighting

    def _become(self, view: View) -> None:
        if view == self.view:
            return
        if view.role is Role.PRIMARY and self.view.role is not Role.PRIMARY:
            self.primary_since = monotonic()
        self.view = view
        fields = {"member": str(self.address), "role": view.role.value, "release": view.release}
        _LOG.info("member is seen as %s", view.role.value, extra={"fields": fields})
        self._changed()

    async def _forget_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            await watcher.close()
