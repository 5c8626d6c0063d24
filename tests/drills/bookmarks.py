"""A small HTTP server that keeps bookmarks as the app's API does."""

import asyncio
import json
from types import TracebackType


class BookmarkServer:
    """Answers `PUT`, `GET` and `DELETE` of bookmarks from memory, on loopback; `status` overrides every PUT's."""

    def __init__(self) -> None:
        self.kept: dict[str, list[str]] = {}
        self.status = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "BookmarkServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        status, document = self._answer(method, path.strip("/").split("/"))
        body = json.dumps(document).encode()
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()

    def _answer(self, method: str, parts: list[str]) -> tuple[int, object]:
        match method, parts:
            case "GET", ["api", "v1", "health", "ready"]:
                return 200, {}
            case "GET", ["api", "v1", "users", user, "bookmarks"]:
                return 200, {"bookmarks": [{"code": code} for code in self.kept.get(user, [])]}
            case "PUT", ["api", "v1", "users", user, "bookmarks", code]:
                if self.status:
                    return self.status, {}
                self.kept.setdefault(user, []).append(code)
                return 201, {}
            case "DELETE", ["api", "v1", "users", user, "bookmarks", code]:
                self.kept[user].remove(code)
                return 204, {}
            case _:
                return 404, {}
