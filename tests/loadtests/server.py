"""A real HTTP server on the loopback that can stall: for a while it accepts requests and answers none."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class StallingServer:
    """Answers 200 at once, except from `stall_after_seconds` to `stall_seconds` later, counted from the first request.

    What comes in the stall is answered at its end. `requests` counts what came in.
    """

    def __init__(self, *, stall_after_seconds: float, stall_seconds: float) -> None:
        self._stall_from = stall_after_seconds
        self._stall_until = stall_after_seconds + stall_seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._first_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._counted = threading.Condition()
        self.requests = 0
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024), self._loop
        ).result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait_for_requests(self, count: int, *, timeout_seconds: float = 120.0) -> None:
        """Wait until that many requests have come in; `TimeoutError` if they do not."""
        with self._counted:
            if not self._counted.wait_for(lambda: self.requests >= count, timeout_seconds):
                raise TimeoutError(f"{self.requests} of {count} requests within {timeout_seconds:g} s")

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is always served in a task")
        self._tasks.add(task)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                with self._counted:
                    self.requests += 1
                    self._counted.notify_all()
                await self._stall(self._loop.time)
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _stall(self, clock: Callable[[], float]) -> None:
        now = clock()
        if self._first_at is None:
            self._first_at = now
        since = now - self._first_at
        if self._stall_from <= since < self._stall_until:
            await asyncio.sleep(self._stall_until - since)
