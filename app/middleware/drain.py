"""The stop of the service, as its clients are told of it."""

from time import monotonic

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Drain:
    """While the service stops, tells each client to take its next request elsewhere: `Connection: close`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.since: float | None = None

    @property
    def begun(self) -> bool:
        """Say whether the service stops."""
        return self.since is not None

    def begin(self) -> None:
        """Stop, from now on."""
        if self.since is None:
            self.since = monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self.since is not None:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, closing)
