"""The partitions of the search log: made ahead of time, and retired by detaching them.

No step waits for a search or makes one wait: a partition is made as a table of its own and attached, which takes a
lock that inserts do not mind; it is detached concurrently, which Postgres allows because there is no default
partition. Every step may be cut off anywhere: the next run finds what it left and goes on.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import sql

from app.db.connection import Connection
from app.db.months import Month, plan

Retired = Literal["drop", "archive"]

AHEAD_MONTHS = 2
ARCHIVE_SCHEMA = "search_logs_archive"

_ATTACHED = """
SELECT child.relname, inhdetachpending FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'search_logs'::regclass
"""

_LOOSE = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname LIKE 'search\\_logs\\_%'
    AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = pg_class.oid)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tended:
    """What was done: names of partitions, in order."""

    made: tuple[str, ...]
    retired: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Say whether anything was done."""
        return bool(self.made or self.retired)


async def tend(connection: Connection, *, keep_months: int, retired: Retired, now: datetime | None = None) -> Tended:
    """Make what will be needed and retire what is older than `keep_months` whole months before this one.

    `now` is the server's clock unless it is given: one clock for all instances. The connection is in autocommit, and
    only one at a time does this. Raises `psycopg.Error`; what was done by then stays.
    """
    if now is None:
        row = await (await connection.execute("SELECT now()")).fetchone()
        assert row is not None
        now = row[0]
    attached, pending = await _attached(connection)
    for month in pending:
        await connection.execute(_alter(month, "DETACH PARTITION {} FINALIZE"))
    loose = await _loose(connection)
    todo = plan(attached, now=now, ahead=AHEAD_MONTHS, keep=keep_months)
    for month in todo.make:
        await _make(connection, month)
    for month in todo.retire:
        await connection.execute(_alter(month, "DETACH PARTITION {} CONCURRENTLY"))
    # What an earlier run detached, and did not come to put away, is loose; a month that is made again is not.
    away = sorted({*todo.retire, *plan(loose, now=now, ahead=AHEAD_MONTHS, keep=keep_months).retire})
    for month in away:
        await _put_away(connection, month, retired)
    return Tended(made=tuple(month.table for month in todo.make), retired=tuple(month.table for month in away))


async def _attached(connection: Connection) -> tuple[set[Month], set[Month]]:
    """Return the months that are attached, and those whose detachment was cut off."""
    attached: set[Month] = set()
    pending: set[Month] = set()
    for name, is_pending in await (await connection.execute(_ATTACHED)).fetchall():
        month = Month.of_table(name)
        if month is not None:
            (pending if is_pending else attached).add(month)
    return attached, pending


async def _loose(connection: Connection) -> set[Month]:
    names = await (await connection.execute(_LOOSE)).fetchall()
    return {month for (name,) in names if (month := Month.of_table(name)) is not None}


async def _make(connection: Connection, month: Month) -> None:
    async with connection.transaction():
        create = sql.SQL("CREATE TABLE IF NOT EXISTS {} (LIKE search_logs INCLUDING ALL)")
        await connection.execute(create.format(sql.Identifier(month.table)))
        bounds = sql.SQL(" FOR VALUES FROM ({}) TO ({})").format(sql.Literal(month.start), sql.Literal(month.end))
        await connection.execute(_alter(month, "ATTACH PARTITION {}") + bounds)


async def _put_away(connection: Connection, month: Month, retired: Retired) -> None:
    table = sql.Identifier(month.table)
    if retired == "drop":
        await connection.execute(sql.SQL("DROP TABLE {}").format(table))
        return
    schema = sql.Identifier(ARCHIVE_SCHEMA)
    await connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    await connection.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(table, schema))


def _alter(month: Month, how: str) -> sql.Composed:
    return sql.SQL("ALTER TABLE search_logs ") + sql.SQL(how).format(sql.Identifier(month.table))
