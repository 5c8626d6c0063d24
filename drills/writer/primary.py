"""Connections to whichever member takes writes, and the search for it when one breaks."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from drills.patience import within


class Connection(Protocol):
    """A connection to one member."""

    member: str

    async def is_writable(self) -> bool:
        """Ask the member whether it takes writes; raise `OSError` where the connection is broken."""

    def abandon(self) -> None:
        """Close at once, telling the server nothing; whoever waits on it gets `OSError`."""


C = TypeVar("C", bound=Connection)

LONGEST_PAUSE_SECONDS = 0.2
"""Between two attempts to dial a member that refuses: one that starts answers each with a handshake and a process."""


class Primary(Generic[C]):
    """A few connections to the member that takes writes.

    When one breaks, or the member says that it takes no writes, all of them are given up and every member is dialled
    at once; each that answers is asked again and again on the same connection, each that does not is dialled again,
    after a pause that grows, and the first that takes writes wins. No directory (a Service, a Sentinel) has to learn of
    a failover first.
    """

    def __init__(
        self,
        members: Sequence[str],
        dial: Callable[[str], Awaitable[C]],
        *,
        lanes: int = 4,
        attempt_seconds: float = 0.5,
        pause_seconds: float = 0.025,
    ) -> None:
        self._members = tuple(members)
        self._dial = dial
        self._lanes = lanes
        self._attempt_seconds = attempt_seconds
        self._pause_seconds = pause_seconds
        self._member = ""
        self._open: set[C] = set()
        self._idle: deque[C] = deque()
        self._waiting: deque[asyncio.Future[C | None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._searching = False
        self._opening = 0
        self._defect: BaseException | None = None

    @property
    def member(self) -> str:
        """The member that takes writes as far as is known; empty while it is searched for."""
        return self._member

    async def acquire(self, patience_seconds: float) -> C | None:
        """Return a connection for one caller, or None where none was had in time."""
        if self._defect is not None:
            raise self._defect
        if self._idle:
            return self._idle.popleft()
        self._seek()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[C | None] = loop.create_future()
        self._waiting.append(waiter)
        alarm = loop.call_later(patience_seconds, _settle, waiter, None)
        try:
            return await waiter
        finally:
            alarm.cancel()

    def release(self, connection: C) -> None:
        """Give back a connection that is in order."""
        if connection not in self._open:
            connection.abandon()
            return
        while self._waiting:
            if _settle(self._waiting.popleft(), connection):
                return
        self._idle.append(connection)

    def distrust(self, connection: C) -> None:
        """Give up a connection and its member: it broke, or its member takes no writes."""
        connection.abandon()
        if connection not in self._open:
            return
        self._open.clear()  # those in use are abandoned when they are released
        while self._idle:
            self._idle.popleft().abandon()
        self._member = ""
        self._seek()

    async def close(self) -> None:
        """Abandon every connection and end the search."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self._open:
            connection.abandon()
        self._open.clear()
        self._idle.clear()
        self._member = ""

    def _seek(self) -> None:
        if not self._member and not self._searching:
            self._searching = True
            self._spawn(self._search())
        elif self._member and len(self._open) + self._opening < self._lanes:
            self._opening += 1
            self._spawn(self._widen(self._member))

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._defect = error  # what a server or a network does is handled: this is a mistake of ours

    def _adopt(self, connection: C) -> None:
        self._open.add(connection)
        self.release(connection)

    async def _widen(self, member: str) -> None:
        try:
            connection = await within(self._attempt_seconds, self._dial(member))
        except OSError:
            return  # the lanes that are there decide whether the member is to be distrusted
        finally:
            self._opening -= 1
        if member == self._member:
            self._adopt(connection)
        else:
            connection.abandon()

    async def _search(self) -> None:
        probes = {asyncio.create_task(self._until_writable(member)) for member in self._members}
        try:
            await asyncio.wait(probes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for probe in probes:
                probe.cancel()
            ended = await asyncio.gather(*probes, return_exceptions=True)
            self._searching = False
        found = [end for end in ended if not isinstance(end, BaseException)]
        if not found:
            raise next(end for end in ended if isinstance(end, BaseException))
        for spare in found[1:]:
            spare.abandon()
        self._member = found[0].member
        self._adopt(found[0])
        if self._waiting:
            self._seek()

    async def _until_writable(self, member: str) -> C:
        pause_seconds = self._pause_seconds
        while True:
            try:
                connection = await within(self._attempt_seconds, self._dial(member))
            except OSError:
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
                continue
            pause_seconds = self._pause_seconds
            try:
                while not await within(self._attempt_seconds, connection.is_writable()):
                    await asyncio.sleep(self._pause_seconds)
            except OSError:
                connection.abandon()
                await asyncio.sleep(self._pause_seconds)
                continue
            except asyncio.CancelledError:
                connection.abandon()
                raise
            return connection


def _settle(waiter: "asyncio.Future[C | None]", connection: C | None) -> bool:
    """Hand a connection (or None: time is up) to a waiter that has nothing yet; say whether it took it."""
    if waiter.done():
        return False
    waiter.set_result(connection)
    return True
