"""A primary whose key another has, on a real server: it is ended, and no other is."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from tests.drills.engines import PostgresServer, free_port, postgres_folder, until
from witness.deposed import end_deposed, primary_of

pytestmark = pytest.mark.fault

ME, OTHER = "postgres-0", "postgres-1"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with postgres_folder() as folder:
        made = PostgresServer(folder, "127.0.0.2", free_port())
        made.make()
        made.start()
        yield made
        made.kill()


def ended_by(server: PostgresServer, leader: str | None) -> str | None:
    async def ask() -> str | None:
        return leader

    return asyncio.run(end_deposed(server.data, ME, ask))


def test_a_primary_is_ended_once_another_leads(server: PostgresServer) -> None:
    for still in (None, ME):
        assert ended_by(server, still) is None
        assert server.answers()
    assert ended_by(server, OTHER) == OTHER
    until(server.has_ended, "it goes on")
    assert primary_of(server.data) is None
    assert ended_by(server, OTHER) is None


def test_a_standby_is_none_nor_is_one_that_recovers(server: PostgresServer) -> None:
    assert primary_of(server.data) is not None
    for name in ("standby.signal", "recovery.signal"):
        (server.data / name).touch()
        assert primary_of(server.data) is None
        assert ended_by(server, OTHER) is None
        (server.data / name).unlink()
    assert server.answers()


def test_one_that_was_started_while_the_leader_was_asked_for_is_left_alone(server: PostgresServer) -> None:
    """It may be a primary because this member leads again: who leads was asked before it was one."""

    async def ask() -> str:
        await asyncio.to_thread(restart)
        return OTHER

    def restart() -> None:
        server.stop()
        server.start()

    assert asyncio.run(end_deposed(server.data, ME, ask)) is None
    assert server.answers()


def test_a_server_in_single_user_mode_is_none(server: PostgresServer) -> None:
    pid_file = server.data / "postmaster.pid"
    was = pid_file.read_text()
    pid_file.write_text(f"-{was}")
    try:
        assert primary_of(server.data) is None
    finally:
        pid_file.write_text(was)
    os.kill(int(was.split("\n", 1)[0]), signal.SIGINT)
    until(server.has_ended, "it does not stop")
