"""One HTTP/1.1 request over one connection, so that a caller knows whether anything was sent."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

LONGEST_BODY_BYTES = 4 << 20
KEPT_SECONDS = 30.0
"""For how long a name's address is used again: what the cluster's own DNS allows."""


@dataclass(frozen=True, slots=True)
class Response:
    """A status, its body, and the headers by their names in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """Return the decoded body; `OSError` where it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise ConnectionError(f"status {self.status}: not JSON: {error}") from error


class Addresses:
    """The addresses of hosts, each resolved once and kept for a while, as every browser and resolver does.

    One that is due and cannot be resolved anew within `patience_seconds` stays in use: a Service's address never
    changes, and who lets go of it for a silent DNS breaks what is in order. A host is asked for once at a time: a
    silent resolver holds a thread, and there are only a few.
    """

    def __init__(self, *, kept_seconds: float = KEPT_SECONDS, patience_seconds: float = 0.5) -> None:
        self._kept_seconds = kept_seconds
        self._patience_seconds = patience_seconds
        self._known: dict[tuple[str, int], tuple[float, str]] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[str]] = {}

    async def of(self, host: str, port: int) -> str:
        """Return an address of a host; `OSError` where it was never known and is not to be had."""
        loop = asyncio.get_running_loop()
        resolved_at, known = self._known.get((host, port), (0.0, ""))
        if known and loop.time() - resolved_at < self._kept_seconds:
            return known
        asking = self._asking.get((host, port))
        if asking is None:
            asking = self._asking[host, port] = asyncio.create_task(self._ask(host, port))
            asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(self._patience_seconds if known else None):
                return await asyncio.shield(asking)
        except OSError:
            if not known:
                raise
            return self._keep(host, port, known)

    async def _ask(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        finally:
            del self._asking[host, port]
        return self._keep(host, port, str(found[0][4][0]))

    def _keep(self, host: str, port: int, address: str) -> str:
        self._known[host, port] = (asyncio.get_running_loop().time(), address)
        return address


async def request(
    method: str,
    host: str,
    port: int,
    path: str,
    *,
    begin: Callable[[], None] | None = None,
    headers: Mapping[str, str] | None = None,
    addresses: Addresses | None = None,
) -> Response:
    """Send one request without a body and return its response; with `addresses` the host's name is resolved there.

    `begin` is called after the connection stands, right before the first byte leaves. `OSError` where there is no
    connection, it breaks, or what comes back is not HTTP.
    """
    address = host if addresses is None else await addresses.of(host, port)
    reader, writer = await asyncio.open_connection(address, port)
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items()) + "\r\n"
        if begin is not None:
            begin()
        writer.write(head.encode("ascii"))
        await writer.drain()
        return await _read_response(reader)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        raise ConnectionError(f"{host}:{port}: the response broke off: {error}") from error
    finally:
        writer.transport.abort()


async def _read_response(reader: asyncio.StreamReader) -> Response:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Response(status, await _read_chunks(reader), headers)
    if "content-length" in headers:
        body = await reader.readexactly(min(int(headers["content-length"]), LONGEST_BODY_BYTES))
        return Response(status, body, headers)
    return Response(status, await reader.read(LONGEST_BODY_BYTES), headers)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
        if len(body) > LONGEST_BODY_BYTES:
            raise ValueError(f"a body of more than {LONGEST_BODY_BYTES} bytes")
    return body
