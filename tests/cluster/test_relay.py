import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hms.cluster import relay

SCRIPT = Path(relay.__file__)


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@pytest.fixture
def entrance(upstream: socket.socket) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        fd = listener.fileno()
        argv = [sys.executable, "-I", "-S", str(SCRIPT), str(fd), "127.0.0.1", str(upstream.getsockname()[1])]
        process = subprocess.Popen(argv, pass_fds=[fd])
    try:
        yield address
    finally:
        process.kill()
        process.wait(10)


def receive_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_both_directions_are_carried_and_each_ends_by_itself(
    upstream: socket.socket, entrance: tuple[str, int]
) -> None:
    body = bytes(range(256)) * 4096
    with socket.create_connection(entrance, timeout=10) as client:
        inside, _ = upstream.accept()
        with inside:
            inside.settimeout(10)
            client.sendall(b"request")
            client.shutdown(socket.SHUT_WR)
            assert receive_all(inside) == b"request"
            inside.sendall(body)
            inside.shutdown(socket.SHUT_WR)
            assert receive_all(client) == body


def test_a_client_is_told_when_nobody_answers_inside(upstream: socket.socket, entrance: tuple[str, int]) -> None:
    upstream.close()
    with socket.create_connection(entrance, timeout=10) as client:
        assert receive_all(client) == b""


def test_a_side_that_resets_ends_the_other(upstream: socket.socket, entrance: tuple[str, int]) -> None:
    with socket.create_connection(entrance, timeout=10) as client:
        inside, _ = upstream.accept()
        # Linger of zero makes close() a reset.
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        inside.close()
        try:
            assert receive_all(client) == b""
        except ConnectionResetError:
            return


def test_pump_is_a_plain_copy() -> None:
    async def scenario() -> bytes:
        received = bytearray()
        done = asyncio.Event()

        async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.extend(await reader.read())
            writer.close()
            done.set()

        server = await asyncio.start_server(sink, "127.0.0.1", 0)
        async with server:
            source = asyncio.StreamReader()
            source.feed_data(b"abc" * 100_000)
            source.feed_eof()
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await relay.pump(source, writer)
            await asyncio.wait_for(done.wait(), 10)
            writer.close()
            await writer.wait_closed()
        return bytes(received)

    assert asyncio.run(scenario()) == b"abc" * 100_000
