"""When a leader is silent: real sockets that answer, refuse, or accept and say nothing."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from witness.probe import Probe, Suspicion, probe

PATIENCE_SECONDS = 0.5
ANSWERED, SILENT, LATE = Probe(True, False, True), Probe(False, False, False), Probe(False, True, False)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def patroni(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 503 Service Unavailable\r\n\r\n")
    writer.close()


async def postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert await reader.readexactly(8) == b"\0\0\0\x08\x04\xd2\x16\x2f"
    writer.write(b"S")
    writer.close()


async def frozen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await reader.read()
    writer.close()


async def ask(first: Handler | None, second: Handler | None) -> tuple[Probe, float]:
    """Probe a Patroni and a Postgres that behave so, None: refuse; return what was found and in how many seconds."""
    servers = [await asyncio.start_server(handler or frozen, "127.0.0.1", 0) for handler in (first, second)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    for server, handler in zip(servers, (first, second), strict=True):
        if handler is None:
            server.close()
    began = time.monotonic()
    found = await probe("127.0.0.1", ports[0], ports[1], PATIENCE_SECONDS)
    took = time.monotonic() - began
    for server in servers:
        server.close()
    return found, took


def test_a_patroni_that_answers_at_all_is_enough_and_postgres_is_not_asked() -> None:
    asked = []

    async def asks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(True)
        await postgres(reader, writer)

    found, _ = asyncio.run(ask(patroni, asks))
    assert found.answered
    assert asked == []


def test_a_postgres_that_serves_is_enough_where_patroni_hangs_or_is_gone() -> None:
    for dead in (frozen, None):
        found, _ = asyncio.run(ask(dead, postgres))
        assert (found.answered, found.patroni) == (True, False)


def test_a_patroni_slower_than_its_postgres_has_answered_as_well() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(PATIENCE_SECONDS / 2)
        await patroni(reader, writer)

    assert asyncio.run(ask(slow, postgres))[0] == ANSWERED


def test_a_kernel_that_accepts_for_a_frozen_process_is_no_answer() -> None:
    found, took = asyncio.run(ask(frozen, frozen))
    assert not found.answered
    assert took >= PATIENCE_SECONDS


def test_who_refuses_on_both_ports_is_not_waited_for() -> None:
    found, took = asyncio.run(ask(None, None))
    assert found == SILENT
    assert took < PATIENCE_SECONDS


class TestSuspicion:
    def test_it_takes_so_many_failures_in_a_row(self) -> None:
        suspicion = Suspicion(3)
        suspicion.begin("a", "t1")
        for found in (SILENT, SILENT, ANSWERED, SILENT, SILENT):
            suspicion.count("a", "t1", found)
            assert not suspicion.suspects("a", "t1")
        suspicion.count("a", "t1", SILENT)
        assert suspicion.suspects("a", "t1")
        suspicion.count("a", "t1", ANSWERED)
        assert not suspicion.suspects("a", "t1")

    def test_who_was_late_himself_has_found_nothing(self) -> None:
        suspicion = Suspicion(1)
        suspicion.begin("a", "t1")
        suspicion.count("a", "t1", LATE)
        assert not suspicion.suspects("a", "t1")

    def test_a_new_term_begins_anew_and_an_old_probe_is_none_of_it(self) -> None:
        suspicion = Suspicion(1)
        suspicion.begin("a", "t1")
        suspicion.count("a", "t1", SILENT)
        suspicion.begin("a", "t2")
        assert not suspicion.suspects("a", "t1")
        suspicion.count("a", "t1", SILENT)
        assert not suspicion.suspects("a", "t2")

    def test_after_a_restart_behind_a_latch_the_leader_is_silent_until_it_answers(self) -> None:
        suspicion = Suspicion(3)
        suspicion.begin("a", "t1", silent=True)
        suspicion.begin("a", "t1")
        assert suspicion.suspects("a", "t1")
        suspicion.count("a", "t1", ANSWERED)
        assert not suspicion.suspects("a", "t1")
