"""Bounds on what a client sends: the address, the body, and how long it takes over the body.

The head's size and time are bounded before there is a request at all (`app.connections`).
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import Problem

MOST_URL_BYTES = 12_288
"""A text of 10,000 characters reaches its route, which says what is wrong with it."""

MOST_BODY_BYTES = 65_536
"""A batch of 1,000 codes has about 12,000."""

_CLOSE = {"connection": "close"}
"""What the client still sends would be taken for its next request."""


class Bounds:
    """Refuses what is too large (413, 414), of no stated length (411) or too slow (408).

    The body is read here, whole and before a slot is taken, so that a slow client holds none; it is in the scope as
    `hms.body`.
    """

    def __init__(self, app: ASGIApp, *, slow_client_seconds: float) -> None:
        self._app = app
        self._slow_client_seconds = slow_client_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            length = _body_bytes(scope)
            scope["hms.body"] = await self._read(receive, length) if length else b""
        except Problem as problem:
            await problem.response(scope["hms.request_id"])(scope, receive, send)
            return
        except ConnectionAbortedError:
            scope["hms.client_left"] = True
            return
        await self._app(scope, receive, send)

    async def _read(self, receive: Receive, length: int) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(self._slow_client_seconds):
                while len(body) < length:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionAbortedError
                    body += message.get("body", b"")
        except TimeoutError as error:
            detail = f"{len(body)} of {length} bytes of the body came within {self._slow_client_seconds:g} s"
            raise Problem(408, "slow-request", "The request came too slowly", detail=detail, headers=_CLOSE) from error
        return bytes(body)


def _body_bytes(scope: Scope) -> int:
    """Return the stated length of the body. Raises `Problem` for what is out of bounds."""
    url_bytes = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if url_bytes > MOST_URL_BYTES:
        detail = f"path and query have {url_bytes} bytes, {MOST_URL_BYTES} are allowed"
        raise Problem(414, "url-too-long", "The address is too long", detail=detail)
    stated = b""
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            detail = "a body must have a Content-Length; Transfer-Encoding is not read"
            raise Problem(411, "length-required", "The length of the body is needed", detail=detail, headers=_CLOSE)
        if name == b"content-length":
            stated = value
    if not stated:
        return 0
    if not stated.isdigit() or len(stated) > 15 or int(stated) > MOST_BODY_BYTES:
        detail = f"the body may have {MOST_BODY_BYTES} bytes"
        raise Problem(413, "body-too-large", "The body is too large", detail=detail, headers=_CLOSE)
    return int(stated)
