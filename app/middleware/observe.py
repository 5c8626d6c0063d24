"""What is written down about every request: an identity, a measurement, a line in the log."""

import logging
import re
from secrets import token_hex
from time import monotonic

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics

_LOG = logging.getLogger("app.access")
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_SLOW_SECONDS = 1.0
_CLIENT_LEFT = 499
"""Written down, never sent: no answer, because nobody waited for one."""


class Observe:
    """Gives each request an identity (the client's `X-Request-Id` if it is a decent one), measures and logs it.

    The log has the route and not the path: what a user searches for stays out of it. Answers that are quick and good
    are logged at DEBUG, the others at INFO.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: dict[object, str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = monotonic()
        identity = _identity(scope)
        scope["hms.request_id"] = identity
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = identity
            await send(message)

        self._metrics.requests_active.inc()
        try:
            await self._app(scope, receive, observed)
        finally:
            self._metrics.requests_active.dec()
            seconds = monotonic() - started
            if not status:
                status = _CLIENT_LEFT if scope.get("hms.client_left") else 500
            route = self._routes.get(scope.get("endpoint"), "none")
            self._metrics.request_seconds.labels(route, scope["method"], str(status)).observe(seconds)
            level = logging.INFO if status >= 500 or seconds > _SLOW_SECONDS else logging.DEBUG
            if _LOG.isEnabledFor(level):
                fields = {"request_id": identity, "route": route, "method": scope["method"], "status": status}
                _LOG.log(level, "answered", extra={"fields": {**fields, "seconds": round(seconds, 4)}})


def _identity(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            return str(value, "ascii")
    return token_hex(8)
