"""The writers against real engines: what they say happened is what happened."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest

from drills.pg import PostgresConnection
from drills.wire import SETTINGS_VARIABLE, Message, Settings, Started, Stopped, WriterName, WriterStatus
from drills.writer.program import WANTED, serve
from hms.evidence import Present
from hms.ledger import Reckoning, Write, read_ledger, reckon
from tests.drills.bookmarks import BookmarkServer
from tests.drills.conftest import PostgresPair, make_settings
from tests.drills.engines import PASSWORD, RedisServer, until

TRIAL = "t-1"


class Recorder:
    """Takes the program's messages and lets a test await one."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = asyncio.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self._changed.set()

    async def first(self, condition: Callable[[Message], bool]) -> Message:
        async with asyncio.timeout(20):
            while True:
                for message in self.messages:
                    if condition(message):
                        return message
                self._changed.clear()
                await self._changed.wait()

    async def acknowledged(self, count: int, *, since_ns: int = 0) -> WriterStatus:
        """Return the first status with so many writes acknowledged, the last of them sent after `since_ns`."""
        found = await self.first(
            lambda message: (
                isinstance(message, WriterStatus)
                and message.acknowledged >= count
                and message.last_acknowledged_sent_ns > since_ns
            )
        )
        assert isinstance(found, WriterStatus)
        return found

    async def stopped(self) -> Stopped:
        found = await self.first(lambda message: isinstance(message, Stopped))
        assert isinstance(found, Stopped)
        return found


def ledger(settings: Settings, writer: str) -> tuple[Write, ...]:
    path = Path(settings.directory) / TRIAL / f"{writer}.ledger.jsonl"
    return read_ledger(path.read_bytes(), source=path.name)


def reckoned(settings: Settings, writer: str, node: str) -> Reckoning:
    path = Path(settings.directory) / TRIAL / f"{writer}.present.{node}.jsonl"
    present = [msgspec.json.decode(line, type=Present) for line in path.read_bytes().splitlines()]
    return reckon(ledger(settings, writer), {one.key: one.count for one in present})


def want(settings: Settings, trial: str) -> None:
    (Path(settings.directory) / WANTED).write_text(trial)


async def during(settings: Settings, act: Callable[[Recorder], Awaitable[None]]) -> Stopped:
    """Serve a trial while `act` goes on, then end it and return what was left."""
    recorder, terminate = Recorder(), asyncio.Event()
    want(settings, TRIAL)
    serving = asyncio.create_task(serve(settings, terminate, emit=recorder))
    try:
        await act(recorder)
        want(settings, "")
        return await recorder.stopped()
    finally:
        terminate.set()
        await serving


def test_a_synchronous_failover_loses_nothing(folder: Path, pair: PostgresPair) -> None:
    settings = make_settings(folder, postgres_port=pair.primary.port, rates={"postgres": 100.0})

    async def fail_over(recorder: Recorder) -> None:
        await recorder.acknowledged(30)
        pair.primary.kill()
        failing = await recorder.first(lambda message: isinstance(message, WriterStatus) and message.detail != "")
        pair.replica.ask("ALTER SYSTEM SET synchronous_standby_names = ''")
        pair.replica.ask("SELECT pg_promote()")
        await recorder.acknowledged(60, since_ns=failing.at_ns)

    stopped = asyncio.run(during(settings, fail_over))
    assert stopped.results[0].authoritative == "127.0.0.3"
    found = reckoned(settings, "postgres", "127.0.0.3")
    assert found.acknowledged >= 60
    assert found.refused + found.unknown > 0
    assert (found.lost, found.duplicated, found.resurrected, found.foreign) == ((), (), (), ())


def test_a_lossy_failover_is_caught(folder: Path, pair: PostgresPair) -> None:
    """The negative control: an asynchronous replica that lags is promoted, and what is lost is named."""
    settings = make_settings(folder, postgres_port=pair.primary.port, rates={"postgres": 100.0})
    pair.primary.ask("ALTER SYSTEM SET synchronous_standby_names = ''")
    pair.primary.ask("SELECT pg_reload_conf()")

    async def fail_over(recorder: Recorder) -> None:
        await recorder.acknowledged(20)
        pair.replica.ask("ALTER SYSTEM SET primary_conninfo = ''")
        pair.replica.ask("SELECT pg_reload_conf()")
        cut = await recorder.acknowledged(0)
        await recorder.acknowledged(cut.acknowledged + 40)
        pair.primary.kill()
        failing = await recorder.first(lambda message: isinstance(message, WriterStatus) and message.detail != "")
        pair.replica.ask("SELECT pg_promote()")
        await recorder.acknowledged(60, since_ns=failing.at_ns)

    asyncio.run(during(settings, fail_over))
    assert len(reckoned(settings, "postgres", "127.0.0.3").lost) > 0


def test_the_stubborn_writer_is_still_there_when_a_frozen_primary_wakes(folder: Path, pair: PostgresPair) -> None:
    rates: dict[WriterName, float] = {"postgres": 50.0, "postgres-stubborn": 20.0}
    settings = make_settings(folder, postgres_port=pair.primary.port, rates=rates)

    async def freeze_and_thaw(recorder: Recorder) -> None:
        await recorder.acknowledged(30)
        with pair.primary.frozen():
            await asyncio.sleep(1.5)
        await recorder.acknowledged(60, since_ns=time.monotonic_ns())

    asyncio.run(during(settings, freeze_and_thaw))
    outcomes = {name: Counter(write.outcome for write in ledger(settings, name)) for name in rates}
    assert outcomes["postgres"]["unknown"] > 0
    assert set(outcomes["postgres-stubborn"]) == {"acknowledged"}
    longest = max(write.done_ns - write.sent_ns for write in ledger(settings, "postgres-stubborn") if write.done_ns)
    assert longest > 1_000_000_000
    for name in rates:
        found = reckoned(settings, name, "127.0.0.2")
        assert (found.lost, found.duplicated, found.resurrected, found.foreign) == ((), (), (), ())


def test_redis_killed_and_restarted(folder: Path, redis: RedisServer) -> None:
    settings = make_settings(folder, redis_port=redis.port, rates={"redis": 200.0})
    redis.ask("CONFIG", "SET", "appendfsync", "always")

    async def restart(recorder: Recorder) -> None:
        await recorder.acknowledged(50)
        redis.kill()
        failing = await recorder.first(lambda message: isinstance(message, WriterStatus) and message.detail != "")
        redis.start()
        await recorder.acknowledged(80, since_ns=failing.at_ns)

    asyncio.run(during(settings, restart))
    found = reckoned(settings, "redis", "127.0.0.2")
    assert found.acknowledged >= 80
    assert (found.lost, found.duplicated, found.resurrected, found.foreign) == ((), (), (), ())


@pytest.mark.parametrize(("status", "outcome"), [(0, "acknowledged"), (404, "refused"), (503, "unknown")])
def test_the_apps_answers(folder: Path, status: int, outcome: str) -> None:
    async def put() -> Settings:
        async with BookmarkServer() as server:
            server.status = status
            settings = make_settings(folder, app_port=server.port, rates={"app": 100.0})

            async def ask(recorder: Recorder) -> None:
                await recorder.first(
                    lambda message: isinstance(message, WriterStatus) and getattr(message, outcome) >= 25
                )

            await during(settings, ask)
            return settings

    settings = asyncio.run(put())
    writes = ledger(settings, "app")
    assert {write.outcome for write in writes} == {outcome}
    found = reckoned(settings, "app", "api")
    assert (found.lost, found.duplicated, found.resurrected, found.foreign) == ((), (), (), ())
    assert len({write.key for write in writes}) == len(writes)


def test_a_connection_that_is_abandoned_in_a_statement_does_not_harm_the_next_one(
    folder: Path, pair: PostgresPair
) -> None:
    settings = make_settings(folder, postgres_port=pair.primary.port, rates={}).postgres

    async def abandon_and_go_on() -> None:
        for _ in range(20):
            left = await PostgresConnection.open(pair.primary.host, settings, password=PASSWORD)
            asleep = asyncio.ensure_future(left.execute("SELECT pg_sleep(5)", timeout_seconds=5.0))
            await asyncio.sleep(0.01)
            asleep.cancel()
            await asyncio.wait({asleep})
            left.abandon()
            following = await PostgresConnection.open(pair.primary.host, settings, password=PASSWORD)
            assert await following.execute("SELECT 1") == [(1,)]
            following.abandon()

    asyncio.run(abandon_and_go_on())


@pytest.mark.fault
def test_sigkill_of_the_writer_loses_nothing_of_its_ledger(folder: Path, pair: PostgresPair) -> None:
    """Killed in the middle and started again, it goes on with new keys; the reckoning still comes out even."""
    settings = make_settings(folder, postgres_port=pair.primary.port, rates={"postgres": 300.0})
    want(settings, TRIAL)
    for _ in range(3):
        with start_program(settings) as process:
            size = ledger_size(settings)
            until(partial(grown, settings, size + 20_000), "the ledger does not grow")
            process.send_signal(signal.SIGKILL)
    with start_program(settings) as process:
        assert process.stdout is not None
        want(settings, "")
        said: list[Message] = []
        while not (said and isinstance(said[-1], Stopped)):
            said.append(msgspec.json.decode(process.stdout.readline(), type=Message))
        process.terminate()
    assert [message.resumed for message in said if isinstance(message, Started)] == [True]
    stopped = said[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.results[0].problem == ""
    found = reckoned(settings, "postgres", "127.0.0.3")
    assert found.acknowledged > 200
    assert (found.lost, found.duplicated, found.resurrected, found.foreign) == ((), (), (), ())


def grown(settings: Settings, size: int) -> bool:
    return ledger_size(settings) > size


def ledger_size(settings: Settings) -> int:
    path = Path(settings.directory) / TRIAL / "postgres.ledger.jsonl"
    return path.stat().st_size if path.exists() else 0


def start_program(settings: Settings) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, SETTINGS_VARIABLE: msgspec.json.encode(settings).decode()}
    command = [sys.executable, "-m", "drills.writer"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
