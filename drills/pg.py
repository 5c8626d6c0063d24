"""A Postgres connection that can be given up at any moment, without a word to a server that may not answer."""

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from drills.wire import PostgresSettings

STATEMENT_SECONDS = 0.5


class PostgresConnection:
    """One autocommit connection to one member.

    psycopg answers a cancelled task by asking the server to cancel, and waits for it; with a server that hangs this
    takes seconds. Here a statement that takes too long has its socket shut down instead.
    """

    def __init__(self, member: str, connection: psycopg.AsyncConnection[TupleRow]) -> None:
        self.member = member
        self.warning = ""
        self._connection = connection
        self._running: asyncio.Task[list[tuple[Any, ...]]] | None = None
        connection.add_notice_handler(self._note)

    @classmethod
    async def open(cls, member: str, settings: PostgresSettings, *, password: str) -> "PostgresConnection":
        """Connect; `OSError` where that fails."""
        conninfo = make_conninfo(
            host=member, port=settings.port, dbname=settings.database, user=settings.user, password=password,
            connect_timeout=2, tcp_user_timeout=2000, keepalives_idle=1, keepalives_interval=1, keepalives_count=2,
            sslmode="verify-full" if settings.ca_file else "prefer", sslrootcert=settings.ca_file or None,
            application_name="hms-drill",
        )  # fmt: skip
        try:
            connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        except psycopg.Error as error:
            raise ConnectionError(f"{member}: {type(error).__name__}: {error}") from error
        return cls(member, connection)

    async def execute(
        self, query: str, parameters: Sequence[object] = (), *, timeout_seconds: float = STATEMENT_SECONDS
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; `TimeoutError`, or psycopg's own errors. `warning` is of this one."""
        self.warning = ""
        task = asyncio.ensure_future(self._run(query, parameters))
        task.add_done_callback(_observe)
        self._running = task
        try:
            done, _ = await asyncio.wait({task}, timeout=timeout_seconds)
        finally:
            if not task.done():
                self._cut()
        if not done:
            await asyncio.wait({task})
            raise TimeoutError(f"{self.member}: no answer within {timeout_seconds:g} s")
        return task.result()

    async def is_writable(self) -> bool:
        """Ask whether transactions may write here; `OSError` where there is no answer."""
        try:
            rows = await self.execute("SHOW transaction_read_only")
        except psycopg.Error as error:
            raise ConnectionError(f"{self.member}: {error}") from error
        return rows == [("off",)]

    @property
    def broken(self) -> bool:
        """Whether the connection is known to be closed, so that nothing sent on it can arrive."""
        return self._connection.closed

    def abandon(self) -> None:
        """Close at once; who waits on a statement gets an error of psycopg's.

        The socket is shut down now, its descriptor is closed when the statement has ended: one that is closed while the
        event loop watches it would be given to the next connection, which then fails for no reason of its own.
        """
        self._cut()
        if self._running is None or self._running.done():
            self._connection.pgconn.finish()
        else:
            self._running.add_done_callback(lambda _: self._connection.pgconn.finish())

    async def _run(self, query: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        cursor = await self._connection.execute(query.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []

    def _cut(self) -> None:
        if self._connection.closed:
            return
        with socket.socket(fileno=os.dup(self._connection.pgconn.socket)) as twin:
            try:
                twin.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the peer was quicker

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self.warning = diagnostic.message_primary or "a warning"


def _observe(task: "asyncio.Task[list[tuple[Any, ...]]]") -> None:
    """Take note of a task's end, whoever still waits for it."""
    if not task.cancelled():
        task.exception()
