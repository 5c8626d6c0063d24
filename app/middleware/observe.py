"""What is written down about every request: an identity, a measurement, a line in the log."""

import logging
import re
from secrets import token_hex
from time import monotonic

from prometheus_client import Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics
from app.tracing import request_span, tracing

_LOG = logging.getLogger("app.access")
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_SLOW_SECONDS = 1.0
_CLIENT_LEFT = 499
"""Written down, never sent: no answer, because nobody waited for one."""


_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"})


class Observe:
    """Gives each request an identity (the client's `X-Request-Id` if it is a decent one), measures and logs it.

    The log has the route and not the path: what a user searches for stays out of it. Answers that are quick and good
    are logged at DEBUG, the others at INFO.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: dict[object, str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes
        self._series: dict[tuple[str, str, int], Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif tracing():
            with request_span(scope["headers"]) as span:
                status = await self._answer(scope, receive, send)
                span.answered(
                    method=scope["method"], route=self._route(scope), status=status, request_id=scope["hms.request_id"]
                )
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer the request, and return the status that is written down."""
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
            self._note(scope, status, seconds)
        return status

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = self._route(scope), _known_method(scope["method"])
        series = self._series.get((route, method, status))
        if series is None:
            series = self._metrics.request_seconds.labels(route, method, str(status))
            self._series[route, method, status] = series
        series.observe(seconds)
        level = logging.INFO if status >= 500 or seconds > _SLOW_SECONDS else logging.DEBUG
        if _LOG.isEnabledFor(level):
            fields = {"request_id": scope["hms.request_id"], "route": route, "method": method, "status": status}
            _LOG.log(level, "answered", extra={"fields": {**fields, "seconds": round(seconds, 4)}})

    def _route(self, scope: Scope) -> str:
        return self._routes.get(scope.get("endpoint"), "none")


def _known_method(method: str) -> str:
    """Return the method, or `other`: a client must not be able to make series without end."""
    return method if method in _METHODS else "other"


def _identity(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            return str(value, "ascii")
    return token_hex(8)
