"""The Kubernetes API, as much of it as a witness needs: list and watch Endpoints and pods, patch one.

HTTP/1.1 over asyncio's streams with h11. One connection is kept for the patches; each watch has its own.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, TypeVar

import h11

_READ_BYTES = 65536
_LARGEST_BYTES = 4 * 1024**2
_IDLE_SECONDS = 5.0
"""A leader renews its lease every second: a watch that says nothing for longer may be cut off without knowing it."""

T = TypeVar("T")


class KubeError(Exception):
    """The API server could not be reached, or did not answer in time."""


class StatusError(Exception):
    """The API server refused: `status` is HTTP's code, 409 where the version was an old one."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class _Connection:
    """One connection: a request after the other, and a way to read an answer that never ends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    def send(self, method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
        head = h11.Request(method=method, target=path, headers=[*headers, ("Content-Length", str(len(body)))])
        self._write(head)
        if body:
            self._write(h11.Data(data=body))
        self._write(h11.EndOfMessage())

    def _write(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ_BYTES))
        return event

    async def status(self) -> int:
        event = await self.event()
        while isinstance(event, h11.InformationalResponse):
            event = await self.event()
        if not isinstance(event, h11.Response):
            raise KubeError("the API server closed the connection")
        return int(event.status_code)

    async def body(self) -> bytes:
        parts, size = [], 0
        while isinstance(event := await self.event(), h11.Data):
            parts.append(bytes(event.data))
            size += len(parts[-1])
            if size > _LARGEST_BYTES:
                raise KubeError(f"an answer of more than {_LARGEST_BYTES} bytes")
        return b"".join(parts)

    def may_go_on(self) -> bool:
        """Start the next request on this connection, if HTTP allows one."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    def close(self) -> None:
        self._writer.close()


class Kube:
    """A client of the API server in one namespace, with the token of the pod's service account."""

    def __init__(self, host: str, port: int, namespace: str, account: Path, *, timeout_seconds: float = 2.0) -> None:
        self._host = host
        self._port = port
        self._namespace = namespace
        self._account = account
        self._timeout_seconds = timeout_seconds
        self._tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
        # Verified, but not by the letter of RFC 5280, which Python 3.13 asks for by itself: certificates of clusters in
        # use lack an authority key identifier or a key usage, and Patroni beside it would take them.
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._kept: _Connection | None = None
        self._one_at_a_time = asyncio.Lock()

    async def patch(self, kind: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a merge patch; return the object as it then stands. `StatusError` if refused, `KubeError` if unknown."""
        return await self._patch(f"{kind}/{name}", "merge", body)

    async def patch_status(self, kind: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a strategic merge patch of an object's status: lists are merged by their keys. Otherwise as `patch`."""
        return await self._patch(f"{kind}/{name}/status", "strategic-merge", body)

    async def _patch(self, what: str, how: str, body: dict[str, Any]) -> dict[str, Any]:
        path = f"/api/v1/namespaces/{self._namespace}/{what}"
        headers = [("Content-Type", f"application/{how}-patch+json")]
        async with self._one_at_a_time:
            return await self._within(self._ask("PATCH", path, headers, json.dumps(body).encode()))

    async def get(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object."""
        async with self._one_at_a_time:
            return await self._within(self._ask("GET", f"/api/v1/namespaces/{self._namespace}/{kind}/{name}", [], b""))

    async def read(self, kind: str, selector: str) -> dict[str, Any]:
        """Return the objects of a kind that bear these labels, with the version of the list."""
        path = f"/api/v1/namespaces/{self._namespace}/{kind}?labelSelector={selector}"
        async with self._one_at_a_time:
            return await self._within(self._ask("GET", path, [], b""))

    async def watch(
        self, kind: str, selector: str, version: str, seconds: int, *, idle_seconds: float = _IDLE_SECONDS
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield what changes after `version`, for at most so many seconds, or until nothing does for `idle_seconds`."""
        query = f"labelSelector={selector}&watch=1&resourceVersion={version}&timeoutSeconds={seconds}"
        connection = await self._within(self._open())
        try:
            path = f"/api/v1/namespaces/{self._namespace}/{kind}?{query}"
            connection.send("GET", path, self._headers(), b"")
            status = await self._within(connection.status())
            if status != 200:
                raise StatusError(status, (await self._within(connection.body()))[:200].decode(errors="replace"))
            held = b""
            while isinstance(event := await self._within(connection.event(), idle_seconds), h11.Data):
                *lines, held = (held + bytes(event.data)).split(b"\n")
                for line in filter(None, lines):
                    yield json.loads(line)
        finally:
            connection.close()

    async def _within(self, work: Awaitable[T], seconds: float | None = None) -> T:
        patience = seconds or self._timeout_seconds
        try:
            async with asyncio.timeout(patience):
                return await work
        except TimeoutError:
            raise KubeError(f"nothing from the API server for {patience:g} s") from None
        except (OSError, h11.ProtocolError) as error:
            raise KubeError(str(error)) from error

    async def _ask(self, method: str, path: str, headers: list[tuple[str, str]], data: bytes) -> dict[str, Any]:
        kept, self._kept = self._kept, None
        if kept is not None:
            # A kept connection may have been closed meanwhile. A patch that names a version does nothing twice.
            with contextlib.suppress(OSError, h11.ProtocolError, KubeError):
                return await self._exchange(kept, method, path, headers, data)
            kept.close()
        return await self._exchange(await self._open(), method, path, headers, data)

    async def _exchange(
        self, connection: _Connection, method: str, path: str, headers: list[tuple[str, str]], data: bytes
    ) -> dict[str, Any]:
        try:
            connection.send(method, path, [*self._headers(), *headers], data)
            status, body = await connection.status(), await connection.body()
        except BaseException:
            connection.close()
            raise
        if connection.may_go_on():
            self._kept = connection
        else:
            connection.close()
        if status != 200:
            raise StatusError(status, body[:200].decode(errors="replace"))
        answer: dict[str, Any] = json.loads(body)
        return answer

    async def _open(self) -> _Connection:
        return _Connection(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))

    def _headers(self) -> list[tuple[str, str]]:
        # The kubelet renews the token's file; it is read anew each time.
        token = (self._account / "token").read_text().strip()
        return [("Host", self._host), ("Authorization", f"Bearer {token}"), ("Accept", "application/json")]
