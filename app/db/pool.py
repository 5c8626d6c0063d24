"""The connections of this process to one member."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from psycopg.pq import TransactionStatus

from app.db.connection import Connection


class Pool:
    """At most `size` connections to one member, opened when they are needed and kept while they are good.

    Invariant: a connection that failed, was cancelled in the middle, or was open when the member was set aside is
    never handed out again. Nothing reconnects in the background: a failover leaves no back-off to wait for, which in
    a pool that heals itself costs up to 8 s after the server is back.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, size: int) -> None:
        self._connect = connect
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._generation = 0
        self.size = size
        self.in_use = 0

    @property
    def idle(self) -> int:
        """Count the connections that wait for work."""
        return len(self._idle)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; waits for one while all are in use. Raises what connecting raises."""
        self.in_use += 1  # from here, so that who waits counts as load when a member is chosen
        try:
            async with self._slots:
                generation = self._generation
                connection = self._idle.pop() if self._idle else await self._connect()
                try:
                    yield connection
                finally:
                    if generation == self._generation and _is_clean(connection):
                        self._idle.append(connection)
                    else:
                        await connection.close()
        finally:
            self.in_use -= 1

    async def renew(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()


def _is_clean(connection: Connection) -> bool:
    return not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE
