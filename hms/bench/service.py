"""The service as a process of its own, as it is deployed, and what a measurement or a test asks of it."""

import os
import signal
import ssl
import sys
import threading
from types import TracebackType
from typing import Self

import httpx

from hms.bench.processes import Process, eventually

_TLS = ssl.create_default_context()
"""For all clients: each would else read the authorities for itself, which takes longer than a request."""


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process' environment without what might be meant for a service, and with `variables`."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("HMS_")}, **variables}


class Service:
    """`python -m app` on a free port, until the end of the `with` block."""

    def __init__(self, **environment: str) -> None:
        variables = {
            "HMS_LISTEN_HOST": "127.0.0.1",
            "HMS_LISTEN_PORT": "0",
            "HMS_DRAIN_SECONDS": "0.2",
            "HMS_RATE_LIMITS": "off",  # all requests come from one address; who measures limits switches them on
            **environment,
        }
        self.process = Process([sys.executable, "-m", "app"], environment=clean_environment(**variables))
        self.url = self.process.wait_for(r"running on (http://[0-9.]+:\d+)").group(1)
        self._clients: dict[int, httpx.Client] = {}

    @property
    def client(self) -> httpx.Client:
        """The calling thread's own client.

        One that threads share may end a connection that another was just given, if it had been idle for a while.
        """
        thread = threading.get_ident()
        if thread not in self._clients:
            self._clients[thread] = httpx.Client(base_url=self.url, timeout=60, verify=_TLS)
        return self._clients[thread]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients.values():
            client.close()
        self.process.kill()

    def until_ready(self) -> Self:
        """Return once reads are answered."""
        eventually(lambda: self.client.get("/api/v1/health/ready").status_code == 200)
        return self

    def get(self, path: str, **parameters: str | int) -> httpx.Response:
        """Ask for a path."""
        return self.client.get(path, params=parameters or None)

    def put_bookmark(self, user: str, code: str) -> httpx.Response:
        """Make a bookmark."""
        return self.client.put(f"/api/v1/users/{user}/bookmarks/{code}")

    def bookmarks(self, user: str) -> list[str]:
        """List a user's bookmarks."""
        answer = self.get(f"/api/v1/users/{user}/bookmarks", limit=1000)
        assert answer.status_code == 200, answer.text
        return [mark["code"] for mark in answer.json()["bookmarks"]]

    def metric(self, beginning: str) -> float:
        """Return the sum over the lines of `/metrics` that begin like this: 0 if there is none yet."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(beginning))

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code once it has ended."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait()
