"""One question to this member's own Postgres, over its own socket, in the very second of a failover.

A `psql` costs the start of a program and its libraries, more than the server's own process for it. What is spoken here
is the least of PostgreSQL's protocol (the manual, "Message Flow"): start-up, one simple query, its first value.
"""

import asyncio
import contextlib
import struct
from pathlib import Path

USER = "postgres"
PATIENCE_SECONDS = 3.0
_PROTOCOL = struct.pack("!I", 196608)  # 3.0
_LARGEST_MESSAGE_BYTES = 65536


class RefusedError(Exception):
    """The server answered the question with an error. `state` is its SQLSTATE (the manual, "Error Codes")."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


async def ask(sockets: Path, port: int, query: str) -> str | None:
    """Return the first value of the query's first row, as text; None while the server takes no sessions.

    Raises `RefusedError` where it takes this one and refuses the query.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(sockets / f".s.PGSQL.{port}"))
            try:
                return await _ask(reader, writer, query)
            finally:
                with contextlib.suppress(OSError):
                    writer.write(_message(b"X", b""))
                writer.close()
    except (OSError, EOFError, TimeoutError, _NoSessionError):
        return None


class _NoSessionError(Exception):
    """The server did not let this client in."""


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, query: str) -> str:
    start = _PROTOCOL + f"user\0{USER}\0database\0postgres\0application_name\0witness\0\0".encode()
    writer.write(struct.pack("!I", len(start) + 4) + start)
    while (kind := (await _read(reader))[0]) != b"Z":
        if kind == b"E":
            raise _NoSessionError
    writer.write(_message(b"Q", query.encode() + b"\0"))
    value, refused = "", ""
    while True:
        kind, body = await _read(reader)
        if kind == b"D" and not value:
            value = _first_value(body)
        elif kind == b"E":
            refused = _state_of(body)
        elif kind == b"Z":
            break
    if refused:
        raise RefusedError(refused)
    return value


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, length = struct.unpack("!cI", await reader.readexactly(5))
    if not 4 <= length <= _LARGEST_MESSAGE_BYTES:
        raise _NoSessionError
    body = await reader.readexactly(length - 4)
    if kind == b"R" and body[:4] != b"\0\0\0\0":  # it asks for a password, and there is none to give
        raise _NoSessionError
    return kind, body


def _first_value(row: bytes) -> str:
    columns, length = struct.unpack_from("!Hi", row)
    return row[6 : 6 + length].decode(errors="replace") if columns and length > 0 else ""


def _state_of(error: bytes) -> str:
    """Return an ErrorResponse's SQLSTATE; its fields are a letter and a text each."""
    fields = error.split(b"\0")
    return next((f[1:].decode(errors="replace") for f in fields if f[:1] == b"C"), "XX000")
