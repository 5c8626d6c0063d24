"""Traces, told to an OpenTelemetry collector: for whoever sets `HMS_TRACES_ENDPOINT`. Otherwise nothing is imported.

A request is a span by its route; its work on Postgres and on Redis are spans within it, each with the node that was
asked. A client's `traceparent` is continued. No span has the text of a query, a code or a user.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from app.errors import SettingsError
from app.settings import TracesSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanKind, Tracer

Attributes = Mapping[str, str | int]

_SERVICE = "hms-app"

_SEND_SECONDS = 1.0
"""For a batch, with all its attempts: what is left at the end is sent within that, or is lost."""

_SERVER_ERROR = 500

_NOTHING: AbstractContextManager[None] = nullcontext()


class _State:
    """What `begin` sets up: one tracer for the process, as there is one log."""

    provider: "TracerProvider | None" = None
    tracer: "Tracer | None" = None


def begin(settings: TracesSettings) -> None:
    """Send the spans of this process to a collector from now on. Raises `SettingsError` if the packages are missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - only who traces has it
            OTLPSpanExporter,
        )
    except ImportError as error:
        problem = f"HMS_TRACES_ENDPOINT={settings.endpoint!r}: {error.name} is missing; install the group `tracing`"
        raise SettingsError([problem]) from error
    address = f"{settings.endpoint.rstrip('/')}/v1/traces"
    export(OTLPSpanExporter(endpoint=address, timeout=_SEND_SECONDS), share=settings.share)


def export(exporter: "SpanExporter", *, share: float) -> None:
    """Give the spans of a `share` of the requests to `exporter`, in batches, from a thread of its own."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only who traces has it
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the same
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - the same
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415 - the same

    provider = TracerProvider(
        resource=Resource.create({"service.name": _SERVICE}), sampler=ParentBasedTraceIdRatio(share)
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _State.provider, _State.tracer = provider, provider.get_tracer("app")


async def end() -> None:
    """Send what is left, and trace no more."""
    provider, _State.provider, _State.tracer = _State.provider, None, None
    if provider is not None:
        await asyncio.to_thread(provider.shutdown)


def span(name: str, attributes: Attributes) -> AbstractContextManager[object]:
    """Return the span of a step of the request that is being answered, if requests are traced."""
    if _State.tracer is None:
        return _NOTHING
    return _State.tracer.start_as_current_span(name, attributes=dict(attributes), kind=_client_kind())


class RequestSpan:
    """The span of one request, from its head to its last byte."""

    __slots__ = ("_span",)

    def __init__(self, span: "Span") -> None:
        self._span = span

    def answered(self, *, method: str, route: str, status: int, request_id: str) -> None:
        """Say what became of the request."""
        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "hms.request_id": request_id,
            }
        )
        if status >= _SERVER_ERROR:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - only who traces has it

            self._span.set_status(StatusCode.ERROR)


def tracing() -> bool:
    """Say whether requests are traced."""
    return _State.tracer is not None


@contextmanager
def request_span(headers: list[tuple[bytes, bytes]]) -> Iterator[RequestSpan]:
    """Begin the span of a request, within the client's own if it names one. Only while `tracing`."""
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - only who traces has it
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - the same

    assert _State.tracer is not None
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.startswith(b"trace")}
    parent = TraceContextTextMapPropagator().extract(carrier)
    with _State.tracer.start_as_current_span("request", context=parent, kind=SpanKind.SERVER) as begun:
        yield RequestSpan(begun)


def _client_kind() -> "SpanKind":
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - only who traces has it

    return SpanKind.CLIENT
