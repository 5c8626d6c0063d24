"""The connections of this process: to one member, and to all of them together."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from psycopg.pq import TransactionStatus

from app.db.connection import Connection
from app.db.turns import Turns


class Budget:
    """The connections that this process may have to all members together.

    Invariant: no more than `most` are open at once; those that are being opened or closed count, and those that a
    request that was given up still holds on a server that hangs. An idle connection to one member gives way to one that
    is needed to another.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._pools: list[Pool] = []
        self._waiting: deque[asyncio.Future[None]] = deque()

    def join(self, pool: "Pool") -> None:
        """Have the idle connections of `pool` give way."""
        self._pools.append(pool)

    async def take(self) -> None:
        """Take one; waits for it while all are taken and none is idle."""
        while self.taken >= self.most:
            lender = max(self._pools, key=lambda pool: pool.idle, default=None)
            if lender is not None and lender.idle:
                await lender.close_one()
            else:
                await self._freed()
        self.taken += 1

    def give_back(self) -> None:
        """Give one back, closed."""
        self.taken -= 1
        self.wake()

    def wake(self) -> None:
        """Wake one who waits: a place is free, or a connection is idle."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _freed(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.wake()  # it was woken and goes away: the next one must not sleep on
            raise


class Pool:
    """Connections to one member, opened when they are needed and kept while they are good; one for each turn.

    Invariant: a connection that failed, was cancelled in the middle, or was open when the member was set aside is
    never handed out again. Nothing reconnects in the background: a failover leaves no back-off to wait for, which in
    a pool that heals itself costs up to 8 s after the server is back.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, size: int, budget: Budget) -> None:
        self._connect = connect
        self.turns = Turns(size)
        self._budget = budget
        self._idle: list[Connection] = []
        self._generation = 0
        budget.join(self)

    @property
    def size(self) -> int:
        """Return how many may be in use at once."""
        return self.turns.most

    @property
    def in_use(self) -> int:
        """Count those that are in use or waited for: the load, by which a member is chosen."""
        return self.turns.wanted

    @property
    def idle(self) -> int:
        """Count the connections that wait for work."""
        return len(self._idle)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection to who has a turn. Raises what connecting raises."""
        generation = self._generation
        connection = self._idle.pop() if self._idle else await self._open()
        try:
            yield connection
        finally:
            if generation == self._generation and _is_clean(connection):
                self._idle.append(connection)
                self._budget.wake()
            else:
                await self._close(connection)

    async def renew(self) -> None:
        """Close what is idle now, and what is in use when it comes back; send away who waits for a turn."""
        self._generation += 1
        self.turns.send_away()
        while self._idle:
            await self.close_one()

    async def close_one(self) -> None:
        """Close the connection that has been idle for the longest time."""
        await self._close(self._idle.pop(0))

    async def _open(self) -> Connection:
        await self._budget.take()
        try:
            return await self._connect()
        except BaseException:
            self._budget.give_back()
            raise

    async def _close(self, connection: Connection) -> None:
        try:
            await connection.close()
        finally:
            self._budget.give_back()


def _is_clean(connection: Connection) -> bool:
    return not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE
