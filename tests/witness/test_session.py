"""One question to a real Postgres, and to what is none."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drills.engines import PostgresServer, free_port, postgres_folder
from witness.session import RefusedError, ask

NOT_IN_PREREQUISITE_STATE = "55000"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_folder() as folder:
        made = PostgresServer(folder, "127.0.0.2", free_port())
        made.make()
        made.start(unix_socket_directories=str(folder))
        yield made
        made.kill()


def asked(server: PostgresServer, query: str) -> str | None:
    return asyncio.run(ask(server.data.parent, server.port, query))


def test_the_first_value_of_the_first_row_is_the_answer(server: PostgresServer) -> None:
    assert asked(server, "SELECT 'one', 'two' UNION ALL SELECT 'three', 'four' ORDER BY 1") == "one"
    assert asked(server, "SELECT ''") == ""
    assert asked(server, "SELECT NULL") == ""
    assert asked(server, "SELECT repeat('x', 20000)") == "x" * 20000
    assert asked(server, "SELECT pg_is_in_recovery()") == "f"


def test_what_the_server_refuses_is_told_by_its_state(server: PostgresServer) -> None:
    with pytest.raises(RefusedError) as refused:
        asked(server, "SELECT pg_wal_replay_resume()")
    assert refused.value.state == NOT_IN_PREREQUISITE_STATE
    with pytest.raises(RefusedError) as refused:
        asked(server, "SELEC")
    assert refused.value.state == "42601"


def test_a_server_that_is_gone_has_no_answer(tmp_path: Path) -> None:
    assert asyncio.run(ask(tmp_path, 5432, "SELECT 1")) is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"E\0\0\0\x10SFATAL\0C57P03\0\0",
        b"R\0\0\0\x08\0\0\0\x0a",  # it wants a password
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"R\0\0\0\x08\0\0\0\0Z\0\0",
    ],
)
def test_what_does_not_let_the_witness_in_has_no_answer(tmp_path: Path, said: bytes) -> None:
    async def one() -> str | None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(8)
            writer.write(said)
            writer.close()

        server = await asyncio.start_unix_server(answer, str(tmp_path / ".s.PGSQL.5432"))
        async with server:
            return await ask(tmp_path, 5432, "SELECT 1")

    assert asyncio.run(one()) is None
