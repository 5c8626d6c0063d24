"""The work that exactly one instance does: it tends to the partitions of the search log.

Which one it is, an advisory lock of the primary says. It belongs to a session, so there is one holder at most on a
server, and it is free as soon as that session is gone. The holder keeps its session only as long as the server answers
it, and is the primary; so after a failover the lock is taken anew on the new one. On the old one the work may still
go on for a moment: there it changes only what the failover undoes. A load does the work, once, where nobody has the
lock; where an instance has it, that one does.
"""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from random import uniform
from time import monotonic, time
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from app.db.abandon import within
from app.db.connection import Connection, connect
from app.db.log_partitions import Tended, tend
from app.db.pool import Budget
from app.db.router import Router
from app.errors import AppError, ClockError
from app.metrics import Metrics
from app.settings import Address, PostgresSettings, SearchLogSettings

T = TypeVar("T")

_LOG = logging.getLogger("app.db.maintenance")

LOCK = 7_264_310_510
"""The advisory lock of who does it; the number means nothing but must stay what it is."""

_TAKE = f"SELECT pg_try_advisory_lock({LOCK})"
_GIVE_UP = f"SELECT pg_advisory_unlock({LOCK})"

_TRY_SECONDS = 15.0
"""How often an instance that does not do it asks whether anybody does, or at the interval if that is shorter."""

_WATCH_SECONDS = 2.0
_ANSWER_SECONDS = 2.0
_WORK_SECONDS = 300.0

_LOST_SECONDS = 0.25
"""How often it is looked whether the server is lost, while it works."""

_NO_PRIMARY_SECONDS = 0.5
"""How often it is looked for a primary while there is none: no server is asked for that."""

_RETIRED = {"drop": "dropped", "archive": "archived"}

_MOST_APART = timedelta(hours=1)
"""Between this machine's clock and the server's: one of them is wrong, and a wrong month would be retired."""


class Maintenance:
    """The task of one instance: does the work every `interval_seconds`, or waits until it is the one to do it."""

    def __init__(
        self,
        router: Router,
        postgres: PostgresSettings,
        search_log: SearchLogSettings,
        metrics: Metrics,
        *,
        interval_seconds: float,
    ) -> None:
        self._router = router
        self._postgres = postgres
        self._search_log = search_log
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; waits for nothing."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End, and give the lock up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            pause_seconds = min(_TRY_SECONDS, self._interval_seconds)
            primary = self._router.primary
            if primary is None:
                pause_seconds = _NO_PRIMARY_SECONDS
            else:
                try:
                    await self._on(primary.address)
                except (psycopg.Error, AppError, OSError, TimeoutError) as error:
                    reason = str(error).strip() or "the server does not answer"
                    _LOG.warning("maintenance is given up here", extra={"fields": {"reason": reason}})
            await asyncio.sleep(pause_seconds * uniform(0.8, 1.0))  # noqa: S311 - no secret; not all at one moment

    async def _on(self, address: Address) -> None:
        """Do the work on this server for as long as it is ours to do; return at once if another one does it.

        Any failure ends it, and with the session the lock: the next one to try may be an instance that has more luck.
        """
        session = await _Session.open(address, self._postgres, self._router.budget)
        try:
            if await session.ask(_TAKE):
                await self._lead(session, address)
        finally:
            self._metrics.maintenance_leads.set(0)
            await session.leave()

    async def _lead(self, session: "_Session", address: Address) -> None:
        self._metrics.maintenance_leads.set(1)
        _LOG.info("maintenance is done by this instance", extra={"fields": {"member": str(address)}})
        next_run = monotonic()
        while True:
            if await session.ask("SELECT pg_is_in_recovery()"):
                return
            if (primary := self._router.primary) is not None and primary.address != address:
                return
            if monotonic() >= next_run:
                began = monotonic()
                # Where nothing was ever loaded, the load that comes leaves the first partitions to this instance.
                next_run = began + (self._interval_seconds if await self._tend(session, address) else _WATCH_SECONDS)
            await asyncio.sleep(max(0.0, min(_WATCH_SECONDS, next_run - monotonic())))

    async def _tend(self, session: "_Session", address: Address) -> bool:
        """Do the work; return whether there was anything to work on."""
        began = monotonic()
        try:
            work = session.alone(_tend_by_clocks(session.connection, self._search_log), seconds=_WORK_SECONDS)
            tended = await self._while_primary(address, work)
        except (psycopg.Error, AppError, OSError, TimeoutError):
            self._metrics.maintenance_runs.labels("failed").inc()
            raise
        if tended is None:
            return False
        self._metrics.maintenance_runs.labels("done").inc()
        self._metrics.maintenance_done_at.set(time())
        self._metrics.search_log_partitions.labels("made").inc(len(tended.made))
        self._metrics.search_log_partitions.labels(_RETIRED[self._search_log.retired]).inc(len(tended.retired))
        fields = {"made": list(tended.made), _RETIRED[self._search_log.retired]: list(tended.retired)}
        level = logging.INFO if tended.changed else logging.DEBUG
        _LOG.log(level, "search log tended to", extra={"fields": {**fields, "seconds": round(monotonic() - began, 3)}})
        return True

    async def _while_primary(self, address: Address, work: Coroutine[None, None, T]) -> T:
        """Do `work`, which may take minutes, for as long as probes of the server are answered, and it is the primary.

        Raises `TimeoutError` if it is given up, and what it raises.
        """
        task = asyncio.create_task(work)
        lost = asyncio.create_task(self._until_lost(address))
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TimeoutError("the server is no primary that answers any more")
            return task.result()
        finally:
            task.cancel()
            lost.cancel()

    async def _until_lost(self, address: Address) -> None:
        """Return once another server is the primary, or none has been for as long as an answer may take."""
        seen = monotonic()
        while monotonic() - seen < _ANSWER_SECONDS:
            if (primary := self._router.primary) is not None:
                if primary.address != address:
                    return
                seen = monotonic()
            await asyncio.sleep(_LOST_SECONDS)


class _Session:
    """A connection with a place in the budget, which it keeps until it is closed.

    Also where that is later than its user has left: on a server that hangs, what is given up ends in the background.
    """

    def __init__(self, connection: Connection, budget: Budget) -> None:
        self.connection = connection
        self._budget = budget
        self._has_place = True

    @classmethod
    async def open(cls, address: Address, postgres: PostgresSettings, budget: Budget) -> "_Session":
        """Open one within `_ANSWER_SECONDS`."""
        await budget.take()
        opening = asyncio.ensure_future(
            connect(address, postgres, application="hms-maintenance", statement_timeout_seconds=_WORK_SECONDS)
        )
        opening.add_done_callback(lambda done: budget.give_back() if done.cancelled() or done.exception() else None)
        return cls(await within(_ANSWER_SECONDS, opening), budget)

    async def ask(self, query: str) -> bool:
        """Return the one value that a query gives at once."""

        async def asked() -> bool:
            row = await (await self.connection.execute(query.encode())).fetchone()
            return row is not None and bool(row[0])

        return await self.alone(asked(), seconds=_ANSWER_SECONDS)

    async def alone(self, work: Coroutine[None, None, T], *, seconds: float) -> T:
        """Do `work` within `seconds`; if it fails or is given up, it closes the connection itself, at its end."""

        async def closing() -> T:
            try:
                return await work
            except BaseException:
                await self._close()
                raise

        return await within(seconds, closing())

    async def leave(self) -> None:
        """Close the connection, unless work that was given up still waits for its answer: then that closes it."""
        if self.connection.pgconn.transaction_status != TransactionStatus.ACTIVE:
            await self._close()

    async def _close(self) -> None:
        try:
            await self.connection.close()
        finally:
            if self._has_place:
                self._has_place = False
                self._budget.give_back()


async def tend_alone(connection: Connection, search_log: SearchLogSettings) -> Tended | None:
    """Do the work once, for who is no instance; return None if an instance has the lock and so does it.

    Such an instance is not waited for, because it keeps the lock for as long as it lives. The connection is in
    autocommit. Raises `ClockError` and `psycopg.Error`.
    """
    row = await (await connection.execute(_TAKE.encode())).fetchone()
    if row != (True,):
        return None
    try:
        return await _tend_by_clocks(connection, search_log)
    finally:
        if not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE:
            await connection.execute(_GIVE_UP.encode())


async def _tend_by_clocks(connection: Connection, search_log: SearchLogSettings) -> Tended | None:
    """Tend to the partitions if both clocks agree; return None if nothing was ever loaded: a load makes the table."""
    row = await (await connection.execute("SELECT now(), to_regclass('search_logs') IS NOT NULL")).fetchone()
    assert row is not None
    now, exists = row
    if not exists:
        return None
    check_clocks(server=now, own=datetime.now(UTC))
    return await tend(connection, keep_months=search_log.keep_months, retired=search_log.retired)


def check_clocks(*, server: datetime, own: datetime) -> None:
    """Refuse to go by the server's clock if this machine's says another hour. Raises `ClockError`."""
    apart = abs(server - own)
    if apart > _MOST_APART:
        raise ClockError(
            f"the server's clock says {server.astimezone(UTC):%Y-%m-%d %H:%M} UTC and this machine's "
            f"{own.astimezone(UTC):%Y-%m-%d %H:%M}: {_MOST_APART} apart are allowed; mend the one that is wrong"
        )
