"""Writes to Postgres as a good client does: all members are dialled at once when a connection breaks."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg

from drills.patience import within
from drills.pg import PostgresConnection
from drills.wire import PostgresSettings, WriterName, short_name
from drills.writer.primary import Primary
from drills.writer.target import ACKNOWLEDGED, Contents, Told

ATTEMPT_SECONDS = 0.5
PREPARE_SECONDS = 30.0
CATCH_UP_SECONDS = 20.0
DIAL_SECONDS = 5.0  # to read back: nobody's write gap depends on it

# No unique key on purpose: a write that happened twice must show.
TABLE = "CREATE TABLE IF NOT EXISTS drills.writes (key text NOT NULL)"
# For the readers, which ask for a trial's newest write again and again.
INDEX = (
    "CREATE INDEX IF NOT EXISTS writes_newest ON drills.writes"
    " (split_part(key, ':', 1), (split_part(key, ':', 2)::bigint))"
)
INSERT = "INSERT INTO drills.writes (key) VALUES (%s)"
READ = "SELECT key, count(*) FROM drills.writes WHERE starts_with(key, %s) GROUP BY key"

# Codes and classes of SQLSTATE with which the server says that the statement was not done and never will be: read-only,
# out of resources, not accepting connections, and what is wrong with the statement itself. All others, 57P01 to 57P02
# (the session was ended, perhaps while its commit waited for a standby) among them, leave the outcome open.
REFUSED_CODES = frozenset({"25006", "57P03", "57014"})
REFUSED_CLASSES = frozenset({"22", "23", "28", "42", "53"})


def classify(sqlstate: str | None) -> Told:
    """Return the outcome of a write whose statement ended with this SQLSTATE; None is a broken connection."""
    if sqlstate is None:
        return Told("unknown", "connection broke")
    if sqlstate in REFUSED_CODES or sqlstate[:2] in REFUSED_CLASSES:
        return Told("refused", sqlstate)
    return Told("unknown", sqlstate)


class PostgresTarget:
    """Inserts each key into `drills.writes`, a transaction of its own."""

    def __init__(
        self, settings: PostgresSettings, name: WriterName = "postgres", *, patience_seconds: float = ATTEMPT_SECONDS
    ) -> None:
        """`patience_seconds` is how long a write may be under way before its connection is given up."""
        self.name: WriterName = name
        self._settings = settings
        self._patience_seconds = patience_seconds
        self._password = Path(settings.password_file).read_text().strip()
        self._prefix = ""
        self._primary = Primary(settings.members, self._dial, attempt_seconds=ATTEMPT_SECONDS)

    async def _dial(self, member: str) -> PostgresConnection:
        return await PostgresConnection.open(member, self._settings, password=self._password)

    async def prepare(self, prefix: str, next_seq: int) -> None:
        """Wait for a primary, and make the table."""
        self._prefix = f"{prefix}{self.name.removeprefix('postgres')}"
        await self._on_primary(TABLE)
        await self._on_primary(INDEX)

    def key(self, seq: int) -> str:
        """Return `<run, trial, and what kind of writer>:<seq>`."""
        return f"{self._prefix}:{seq}"

    async def write(self, key: str, begin: Callable[[], None]) -> Told:
        """Insert `key` on the primary; one attempt."""
        connection = await self._primary.acquire(self._patience_seconds)
        if connection is None:
            return Told("refused", "no member takes writes")
        if connection.broken:
            self._primary.distrust(connection)
            return Told("refused", "connection broke before")
        begin()
        try:
            await connection.execute(INSERT, (key,), timeout_seconds=self._patience_seconds)
        except TimeoutError:
            self._primary.distrust(connection)
            return Told("unknown", "timeout")
        except psycopg.Error as error:
            self._primary.distrust(connection)
            return classify(error.sqlstate)
        if connection.warning:
            # A commit that stopped waiting for its standby is acknowledged with no more than a warning.
            self._primary.distrust(connection)
            return Told("unknown", connection.warning)
        self._primary.release(connection)
        return ACKNOWLEDGED

    async def contents(self) -> Contents:
        """Read each member's keys of this trial, the replicas' once they have replayed the primary's log."""
        position = (await self._on_primary("SELECT pg_current_wal_lsn()"))[0][0]
        primary = self._primary.member
        nodes: dict[str, dict[str, int]] = {}
        unread: list[str] = []
        for member in (primary, *(member for member in self._settings.members if member != primary)):
            try:
                nodes[short_name(member)] = await within(
                    CATCH_UP_SECONDS, self._read(member, str(position), wait=member != primary)
                )
            except OSError as error:
                if member == primary:
                    raise
                unread.append(f"{member}: {type(error).__name__}: {error}")
        return Contents(nodes, short_name(primary), tuple(unread))

    async def _read(self, member: str, position: str, *, wait: bool) -> dict[str, int]:
        connection = await within(DIAL_SECONDS, self._dial(member))
        try:
            replayed = "SELECT coalesce(pg_last_wal_replay_lsn() >= %s::pg_lsn, true)"
            while wait and await connection.execute(replayed, (position,)) != [(True,)]:
                await asyncio.sleep(0.05)
            rows = await connection.execute(READ, (f"{self._prefix}:",), timeout_seconds=CATCH_UP_SECONDS)
            return {str(key): int(count) for key, count in rows}
        except psycopg.Error as error:
            raise ConnectionError(f"{member}: {error}") from error
        finally:
            connection.abandon()

    async def _on_primary(self, query: str) -> list[tuple[object, ...]]:
        connection = await self._primary.acquire(PREPARE_SECONDS)
        if connection is None:
            raise TimeoutError(f"postgres: no member took writes within {PREPARE_SECONDS:g} s")
        try:
            rows = await connection.execute(query, timeout_seconds=5.0)
        except (psycopg.Error, OSError) as error:
            self._primary.distrust(connection)
            raise ConnectionError(f"postgres: {connection.member}: {error}") from error
        self._primary.release(connection)
        return rows

    async def discard(self) -> None:
        """Remove all drills' writes."""
        await self._on_primary("TRUNCATE drills.writes")

    async def close(self) -> None:
        """Close all connections."""
        await self._primary.close()
