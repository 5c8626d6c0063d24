"""What every answer tells a browser not to do with it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""Made for data: nothing may be run or loaded. A route that answers with a page says its own.

`Strict-Transport-Security` is not among them: TLS ends before this service, and who ends it knows whether there is any.
"""


class SecurityHeaders:
    """Adds the headers that the answer does not have yet."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                has = {name for name, _ in headers}
                message = {**message, "headers": [*headers, *(pair for pair in _HEADERS if pair[0] not in has)]}
            await send(message)

        await self._app(scope, receive, guarded)
