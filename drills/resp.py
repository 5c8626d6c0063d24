"""Redis's protocol, RESP2, with nothing between the caller and the socket.

A client library's retries and reconnections would blur the one thing that a ledger must know: whether a command may
have reached the server.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Self

Reply = str | int | list["Reply"] | None


class ReplyError(Exception):
    """The server answered with an error: it did not do what was asked. `code` is its first word."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code: Final = message.split(" ", 1)[0]


def encode(*words: str) -> bytes:
    """Return a command as RESP."""
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        data = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Read one reply; `ReplyError` if it is one, `OSError` where the stream ends or is not RESP."""
    try:
        line = (await reader.readuntil(b"\r\n"))[:-2]
        kind, rest = line[:1], line[1:]
        match kind:
            case b"+":
                return rest.decode()
            case b"-":
                raise ReplyError(rest.decode())
            case b":":
                return int(rest)
            case b"$":
                if rest == b"-1":
                    return None
                return (await reader.readexactly(int(rest) + 2))[:-2].decode()
            case b"*":
                return None if rest == b"-1" else [await _element(reader) for _ in range(int(rest))]
            case _:
                raise ConnectionError(f"not RESP: {line[:40]!r}")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise ConnectionError(f"the connection broke within a reply: {error}") from error


async def _element(reader: asyncio.StreamReader) -> Reply:
    try:
        return await read_reply(reader)
    except ReplyError as error:
        return str(error)


class RedisConnection:
    """One authenticated connection to one Redis node or Sentinel; one command at a time."""

    def __init__(self, member: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.member = member
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, member: str, port: int, *, user: str, password: str) -> Self:
        """Connect and authenticate; `OSError` where either fails."""
        reader, writer = await asyncio.open_connection(member, port)
        connection = cls(member, reader, writer)
        try:
            await connection.ask("AUTH", user, password)
        except ReplyError as error:
            connection.abandon()
            raise ConnectionError(f"{member}:{port} refused the user {user}: {error.code}") from error
        except BaseException:
            connection.abandon()
            raise
        return connection

    async def ask(self, *words: str, begin: Callable[[], None] | None = None) -> Reply:
        """Send one command and return its reply.

        `begin` is called right before the first byte may leave. `ReplyError` is the server's no; after an `OSError`
        nobody knows whether the server did it.
        """
        if self._writer.is_closing() or self._reader.at_eof():
            raise ConnectionError(f"{self.member}: the connection is closed")
        command = encode(*words)
        if begin is not None:
            begin()
        self._writer.write(command)
        await self._writer.drain()
        return await read_reply(self._reader)

    async def next_push(self) -> Reply:
        """Return the next message of a subscription."""
        return await read_reply(self._reader)

    def abandon(self) -> None:
        """Close at once; whoever waits for a reply gets `OSError`."""
        self._writer.transport.abort()


def fields(reply: Reply) -> dict[str, str]:
    """Return a flat list of names and values as a dict, as `SENTINEL MASTER` and `CONFIG GET` give it."""
    words = [str(word) for word in reply] if isinstance(reply, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))


def info(reply: Reply) -> dict[str, str]:
    """Return the `name:value` lines of `INFO` as a dict."""
    lines = reply.splitlines() if isinstance(reply, str) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)
