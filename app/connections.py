"""The connections of clients, as uvicorn speaks HTTP on them, with the bounds that uvicorn has not.

Uvicorn alone waits for the head of a request for as long as its client likes, takes a head of any size, and keeps any
number of connections.
"""

import asyncio
import socket
from contextlib import suppress
from time import monotonic
from typing import Any

import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.problems import Document

MOST_HEAD_BYTES = 16_384

_UNACKNOWLEDGED_MS = 30_000
"""How long the kernel keeps a connection whose peer takes nothing of what was written."""


class _HeadTooLargeError(ValueError):
    """The head of a request is larger than `MOST_HEAD_BYTES`."""


class Connection(HttpToolsProtocol):
    """One client's connection.

    A head must come within `slow_client_seconds` (408) and have `MOST_HEAD_BYTES` at most (431). Beyond
    `most_connections`, the one that has been idle for longest makes room for a new one, and if none is idle the new one
    is closed. `hms.abort` in the scope cuts the connection.
    """

    slow_client_seconds = 10.0
    most_connections = 4096

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _head_begun = False
    _head_pending_bytes = 0
    _refusal = 400
    _idle_since: float | None = None
    _running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own signature
        """Bound the silence of the peer, and the number of connections."""
        super().connection_made(transport)
        if (peer := transport.get_extra_info("socket")) is not None and peer.family != socket.AF_UNIX:
            with suppress(OSError):
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)
        self._idle_since = monotonic()
        self._await_head()
        if len(self.connections) > self.most_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go."""
        self._head_arrived()
        if self._running is not None and not self._running.response_complete:
            # Uvicorn tells the last request that came, which is another one if a client sends them ahead.
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        begun = self._head_begun
        super().data_received(data)
        if not self._head_begun:
            self._head_pending_bytes = 0
            return
        if begun:
            self._head_pending_bytes += len(data)
            if self._head_pending_bytes > MOST_HEAD_BYTES:
                self._refusal = 431
                self.send_400_response("")
                return
        if self._head_timer is None and not self.transport.is_closing():
            self._await_head()

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._head_begun = True
        self._head_bytes = 0
        self._idle_since = None
        self.scope["hms.abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key] # an extension of ours

    def on_url(self, url: bytes) -> None:
        """Take the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the request."""
        self._head_begun = False
        self._head_arrived()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Be idle, or take the next request that is here already."""
        super().on_response_complete()
        if not self.pipeline:
            self._idle_since = monotonic()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that never became one, with a problem document."""
        if self.transport.is_closing():
            return
        self._head_arrived()
        kind, title, detail = {
            408: ("slow-request", "The request came too slowly", f"its head takes over {self.slow_client_seconds:g} s"),
            431: ("head-too-large", "The headers are too large", f"{MOST_HEAD_BYTES} bytes are allowed"),
        }.get(self._refusal, ("not-http", "This is not a request of HTTP/1.1", msg))
        body = msgspec.json.encode(
            Document(type=f"urn:hms:problem:{kind}", title=title, status=self._refusal, detail=detail)
        )
        head = STATUS_LINE[self._refusal] + b"content-type: application/problem+json\r\nconnection: close\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refusal = 431
            raise _HeadTooLargeError

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.slow_client_seconds, self._head_late)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self._head_begun:
            self._refusal = 408
            self.send_400_response("")
        elif not self.transport.is_closing():
            self.transport.close()  # it never said a word

    def _make_room(self) -> None:
        idle = [
            other
            for other in self.connections
            if isinstance(other, Connection) and other is not self and other._idle_since is not None
        ]
        loser = min(idle, key=lambda other: other._idle_since or 0.0, default=self)
        loser.transport.abort()


def bounded(*, slow_client_seconds: float, most_connections: int) -> type[Connection]:
    """Return the protocol with these bounds, as uvicorn takes it: a class."""
    values: dict[str, Any] = {"slow_client_seconds": slow_client_seconds, "most_connections": most_connections}
    return type("Connection", (Connection,), values)
