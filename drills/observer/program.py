"""The observer's program: asks every server again and again, and tells what changed."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Generic, TypeVar

from drills.observer.effective import effective_timers
from drills.observer.judgement import (
    PostgresMember,
    RedisNode,
    SentinelView,
    judge_postgres,
    judge_redis,
    postgres_changes,
    redis_changes,
)
from drills.observer.sources import ask_patroni, ask_redis, ask_sentinel
from drills.patience import within
from drills.resp import RedisConnection, ReplyError
from drills.web import Addresses
from drills.wire import Effective, Message, PostgresState, RedisState, Seen, Settings, State, short_name

PATIENCE_SECONDS = 1.0
CALM_SECONDS = 0.6
WATCHFUL_SECONDS = 0.2
"""For who leads, whom a fault strikes first; as soon as one thing is not steady, for all."""
ALERT_SECONDS = 0.1
"""For Redis and its Sentinels, while something is not steady. Patroni answers each question with a thread and a query
of its own: asked that often, it competes with the failover that it is asked about."""
HEARTBEAT_SECONDS = 0.5
EFFECTIVE_SECONDS = 20.0

Emit = Callable[[Message], None]
T = TypeVar("T")


class Observer:
    """Keeps what every server said last, and tells each change as it is seen."""

    def __init__(self, settings: Settings, emit: Emit) -> None:
        self._settings = settings
        self._emit = emit
        self._password = Path(settings.redis.password_file).read_text().strip()
        self._members: dict[str, PostgresMember | None] = dict.fromkeys(map(short_name, settings.postgres.members))
        self._nodes: dict[str, RedisNode | None] = dict.fromkeys(settings.redis.nodes)
        self._views: dict[str, SentinelView | None] = dict.fromkeys(settings.redis.sentinels)
        self._told: tuple[PostgresState, RedisState] | None = None
        # A pod that comes back has another address; a resolver that is silent must not make the observer blind.
        self._addresses = Addresses(kept_seconds=1.0, patience_seconds=0.1)

    async def run(self) -> None:
        """Observe until cancelled."""
        settings = self._settings
        async with asyncio.TaskGroup() as group:
            for member in settings.postgres.members:
                group.create_task(self._watch_postgres(member))
            for node in settings.redis.nodes:
                group.create_task(self._watch_redis(node))
            for sentinel in settings.redis.sentinels:
                group.create_task(self._watch_sentinel(sentinel))
                group.create_task(self._listen(sentinel))
            group.create_task(self._beat())
            group.create_task(self._read_effective())

    async def _watch_postgres(self, member: str) -> None:
        while True:
            answer = await _or_none(ask_patroni(member, self._settings.postgres.rest_port, self._addresses))
            name = short_name(member)
            before, self._members[name] = self._members[name], answer
            self._see("patroni", postgres_changes(name, before, answer))
            await self._pause(leads=answer is not None and answer.role == "primary", alert_seconds=WATCHFUL_SECONDS)

    async def _watch_redis(self, node: str) -> None:
        asker = Asker(self._open, node, self._settings.redis.port, ask_redis)
        with closing(asker):
            while True:
                answer = await asker.answer()
                before, self._nodes[node] = self._nodes[node], answer
                self._see("redis", redis_changes(node, before, answer))
                await self._pause(leads=answer is not None and answer.role == "master")

    async def _watch_sentinel(self, sentinel: str) -> None:
        settings = self._settings.redis

        async def ask(connection: RedisConnection) -> SentinelView:
            return await ask_sentinel(connection, settings.master_name)

        asker = Asker(self._open, sentinel, settings.sentinel_port, ask)
        with closing(asker):
            while True:
                answer = await asker.answer()
                before, self._views[sentinel] = self._views[sentinel], answer
                if before is not None and answer is None:
                    self._see("sentinel", [f"{sentinel}: does not answer"])
                await self._pause(leads=False)

    async def _listen(self, sentinel: str) -> None:
        """Tell what a Sentinel publishes (`+sdown`, `+promoted-slave`, `+switch-master`, ...)."""
        while True:
            connection = await _or_none(self._open(sentinel, self._settings.redis.sentinel_port))
            if connection is not None:
                try:
                    await connection.ask("PSUBSCRIBE", "*")
                    while True:
                        match await connection.next_push():
                            case ["pmessage", _, str(channel), str(text)]:
                                self._see("sentinel", [f"{sentinel}: {channel} {text}"])
                            case _:
                                continue
                except (OSError, ReplyError) as error:
                    self._see("sentinel", [f"{sentinel}: its messages broke off: {error}"])
                finally:
                    connection.abandon()
            await asyncio.sleep(ALERT_SECONDS)

    async def _read_effective(self) -> None:
        while True:
            values = await effective_timers(self._settings)
            self._emit(Effective(at_ns=time.monotonic_ns(), values=values))
            await asyncio.sleep(EFFECTIVE_SECONDS)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._tell_state(always=True)

    async def _open(self, host: str, port: int) -> RedisConnection:
        address = await self._addresses.of(host, port)
        return await RedisConnection.open(address, port, user=self._settings.redis.user, password=self._password)

    def _see(self, source: str, changes: list[str]) -> None:
        now_ns = time.monotonic_ns()
        for what in changes:
            self._emit(Seen(at_ns=now_ns, source=source, what=what))
        self._tell_state(always=False)

    def _tell_state(self, *, always: bool) -> None:
        now = (judge_postgres(self._members), judge_redis(self._nodes, self._views))
        if always or now != self._told:
            self._told = now
            self._emit(State(at_ns=time.monotonic_ns(), postgres=now[0], redis=now[1]))

    async def _pause(self, *, leads: bool, alert_seconds: float = ALERT_SECONDS) -> None:
        calm = self._told is not None and self._told[0].steady and self._told[1].steady
        calm_seconds = WATCHFUL_SECONDS if leads else CALM_SECONDS
        await asyncio.sleep(calm_seconds if calm else alert_seconds)


class Asker(Generic[T]):
    """Asks one server one question again and again, over a connection that it keeps as long as it lasts.

    A connection that broke is made anew before the server is said not to answer: Redis closes its clients' connections
    whenever its role changes.
    """

    def __init__(
        self,
        dial: Callable[[str, int], Awaitable[RedisConnection]],
        host: str,
        port: int,
        question: Callable[[RedisConnection], Awaitable[T]],
    ) -> None:
        self._dial = dial
        self._host = host
        self._port = port
        self._question = question
        self._connection: RedisConnection | None = None

    async def answer(self) -> T | None:
        """Return the answer, or None where there is none."""
        for _ in range(2):
            kept = self._connection
            if kept is None:
                self._connection = await _or_none(self._dial(self._host, self._port))
            if self._connection is None:
                return None
            found = await _or_none(self._question(self._connection))
            if found is not None:
                return found
            self.close()
            if kept is None:
                return None
        return None

    def close(self) -> None:
        """Give up the connection."""
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None


async def _or_none(question: Awaitable[T]) -> T | None:
    """Return the answer, or None where none came in time."""
    try:
        return await within(PATIENCE_SECONDS, question)
    except (OSError, ReplyError, ValueError, KeyError):
        return None


async def run_until_terminated(settings: Settings, emit: Emit) -> None:
    """Observe until SIGTERM or SIGINT."""
    work = asyncio.create_task(Observer(settings, emit).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    await asyncio.wait({work})
    if not work.cancelled():
        work.result()
