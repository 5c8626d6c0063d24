"""The observer against a real Redis and a Patroni that is an HTTP server of the test's."""

import asyncio
import json
from pathlib import Path

import msgspec

from drills.observer.program import Observer
from drills.wire import Message, Seen, Settings, State
from tests.drills.conftest import PRIMARY, make_settings
from tests.drills.engines import RedisServer


class Said:
    """Takes the observer's messages; a test awaits what it expects."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._more = asyncio.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self._more.set()

    async def seen(self, what: str, *, after_ns: int = 0) -> Seen:
        """Return the first thing seen after a moment whose text contains `what`."""
        async with asyncio.timeout(20):
            while True:
                for message in self.messages:
                    if isinstance(message, Seen) and message.at_ns > after_ns and what in message.what:
                        return message
                self._more.clear()
                await self._more.wait()


async def patroni(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = json.dumps({"state": "running", "role": "primary", "timeline": 7, "postmaster_start_time": "t"}).encode()
    writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def at(settings: Settings, rest_port: int) -> Settings:
    postgres = msgspec.structs.replace(settings.postgres, members=(PRIMARY,), rest_port=rest_port)
    return msgspec.structs.replace(settings, postgres=postgres)


def test_it_sees_a_death_and_a_start_anew(folder: Path, redis: RedisServer) -> None:
    settings = make_settings(folder, redis_port=redis.port, rates={})

    async def watch() -> Said:
        said = Said()
        async with await asyncio.start_server(patroni, PRIMARY, 0) as server:
            observer = Observer(at(settings, server.sockets[0].getsockname()[1]), said)
            task = asyncio.create_task(observer.run())
            await said.seen(f"{PRIMARY}: primary, running, timeline 7")
            await said.seen(f"{PRIMARY}: master, run ")
            redis.kill()
            gone = await said.seen(f"{PRIMARY}: does not answer")
            redis.start()
            back = await said.seen(f"{PRIMARY}: master, run ", after_ns=gone.at_ns)
            assert gone.source == back.source == "redis"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return said

    said = asyncio.run(watch())
    states = [message for message in said.messages if isinstance(message, State)]
    assert {state.redis.primary for state in states} >= {PRIMARY, ""}
    assert states[-1].postgres.primary == PRIMARY


def test_a_connection_that_its_server_closed_is_no_absence(folder: Path, redis: RedisServer) -> None:
    settings = make_settings(folder, redis_port=redis.port, rates={})

    async def watch() -> Said:
        said = Said()
        task = asyncio.create_task(Observer(at(settings, 1), said).run())
        await said.seen(f"{PRIMARY}: master, run ")
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        redis.ask("REPLICAOF", "127.0.0.9", "1")
        await said.seen(f"{PRIMARY}: role master -> replica")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return said

    said = asyncio.run(watch())
    assert not [m for m in said.messages if isinstance(m, Seen) and m.what == f"{PRIMARY}: does not answer"]
