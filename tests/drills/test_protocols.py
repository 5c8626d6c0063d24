"""The two small clients, against servers that answer byte by byte, wrongly, or not to the end."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drills.resp import Reply, ReplyError, encode, fields, info, read_reply
from drills.web import Addresses, Response, request
from drills.writer.redis import is_writable_role


def reply(data: bytes) -> Reply:
    async def read() -> Reply:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_reply(reader)

    return asyncio.run(read())


def test_resp() -> None:
    assert encode("INCR", "drill:ü") == b"*2\r\n$4\r\nINCR\r\n$8\r\ndrill:\xc3\xbc\r\n"
    assert reply(b"+OK\r\n") == "OK"
    assert reply(b":42\r\n") == 42
    assert reply(b"$5\r\na\r\nbc\r\n") == "a\r\nbc"
    assert reply(b"$-1\r\n") is None
    assert reply(b"*3\r\n:1\r\n*1\r\n$1\r\nx\r\n-ERR inside\r\n") == [1, ["x"], "ERR inside"]
    with pytest.raises(ReplyError) as caught:
        reply(b"-NOREPLICAS Not enough good replicas\r\n")
    assert caught.value.code == "NOREPLICAS"


@pytest.mark.parametrize("data", [b"", b"$5\r\nab", b"*2\r\n:1\r\n", b"HTTP/1.1 200\r\n", b":x\r\n"])
def test_a_broken_reply_is_a_broken_connection(data: bytes) -> None:
    with pytest.raises(ConnectionError):
        reply(data)


def test_lists_of_names_and_values() -> None:
    assert fields(["ip", "10.0.0.1", "port", "6379"]) == {"ip": "10.0.0.1", "port": "6379"}
    assert info("# Server\r\nrun_id:abc\r\nrole:master\r\n") == {"run_id": "abc", "role": "master"}


@pytest.mark.parametrize(
    ("role", "minimum", "writable"),
    [
        (["master", 10, [["h", "1", "10"]]], 1, True),
        (["master", 10, []], 0, True),
        (["master", 10, []], 1, False),
        (["slave", "h", 6379, "connected", 10], 0, False),
        (None, 0, False),
    ],
)
def test_only_a_master_with_enough_replicas_takes_writes(role: Reply, minimum: int, writable: bool) -> None:
    assert is_writable_role(role, minimum_replicas=minimum) is writable


def answered(data: bytes) -> Response:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()
        writer.close()

    return asyncio.run(ask(serve))


async def ask(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Response:
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        return await request("GET", "127.0.0.1", server.sockets[0].getsockname()[1], "/")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[1,2,3]ignored",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n4;x=y\r\n2,3]\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n[1,2,3]",
    ],
)
def test_http(data: bytes) -> None:
    response = answered(data)
    assert response.status == 200
    assert response.json() == [1, 2, 3]


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"SSH-2.0\r\n\r\n"]
)
def test_a_response_that_breaks_off_is_a_broken_connection(data: bytes) -> None:
    with pytest.raises(ConnectionError):
        answered(data)


def test_an_address_that_is_known_outlives_a_dns_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def trial() -> list[str]:
        loop = asyncio.get_running_loop()

        async def answer(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
            asked.append(host)
            if len(asked) > 1:
                await asyncio.Event().wait()
            return [(0, 0, 0, "", ("10.96.0.7", port))]

        monkeypatch.setattr(loop, "getaddrinfo", answer)
        kept = Addresses(patience_seconds=0.01)
        due = Addresses(kept_seconds=0.0, patience_seconds=0.01)
        found = [await kept.of("app", 80), await kept.of("app", 80)]
        asked.clear()
        return [*found, await due.of("app", 80), await due.of("app", 80)]

    assert asyncio.run(trial()) == ["10.96.0.7"] * 4
    assert asked == ["app", "app"]


def test_an_address_that_was_never_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trial() -> None:
        async def fail(*_: object, **__: object) -> None:
            raise OSError("no answer")

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
        await Addresses().of("app", 80)

    with pytest.raises(OSError, match="no answer"):
        asyncio.run(trial())
