"""A balancer of connections, as a Kubernetes Service is one: it knows readiness, and nothing of HTTP beyond that."""

import asyncio
import itertools
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx

_PROBE_SECONDS = 0.05


class Balancer:
    """Hands each new connection to a backend that is ready, in turn; what is connected stays where it is."""

    def __init__(self) -> None:
        self.backends: list[str] = []
        self.connections = 0
        self.sides: set[_Side] = set()
        self.dials: set[asyncio.Task[None]] = set()
        self._ready: list[str] = []
        self._turn = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._stop = asyncio.Event()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ready(self) -> list[str]:
        return list(self._ready)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        probes = asyncio.create_task(self._probe())
        self._started.set()
        await self._stop.wait()
        probes.cancel()
        server.close()
        for side in list(self.sides):
            side.transport.abort()
        while self.sides:  # each leaves when its transport has called it back
            await asyncio.sleep(0)
        await asyncio.gather(probes, *self.dials, return_exceptions=True)

    def choose(self) -> httpx.URL:
        """Return a backend that is ready."""
        self.connections += 1
        return httpx.URL(self._ready[next(self._turn) % len(self._ready)])

    async def _probe(self) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                ready = []
                for url in list(self.backends):
                    with suppress(httpx.TransportError):
                        # On a connection of its own each time: an instance that stops closes those that it has.
                        answer = await client.get(f"{url}/api/v1/health/ready", headers={"connection": "close"})
                        ready += [url] if answer.status_code == 200 else []
                self._ready = ready
                await asyncio.sleep(_PROBE_SECONDS)


class _Side(asyncio.Protocol):
    """One end of a connection that is carried: what comes goes to the other end, which goes when this one does."""

    transport: asyncio.Transport
    peer: "_Side | None" = None

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.balancer.sides.add(self)

    def data_received(self, data: bytes) -> None:
        assert self.peer is not None
        self.peer.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.balancer.sides.discard(self)
        if self.peer is not None:
            self.peer.transport.close()


class _Client(_Side):
    """The end of a client: the backend is chosen when it comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        dial = asyncio.get_running_loop().create_task(self._dial(self.balancer.choose()))
        self.balancer.dials.add(dial)
        dial.add_done_callback(self.balancer.dials.discard)

    async def _dial(self, backend: httpx.URL) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, side = await loop.create_connection(lambda: _Side(self.balancer), backend.host, backend.port or 80)
        except OSError:
            self.transport.abort()
            return
        self.peer, side.peer = side, self
        if self.transport.is_closing():
            side.transport.close()
        else:
            self.transport.resume_reading()
