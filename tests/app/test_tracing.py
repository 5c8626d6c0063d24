"""Traces: what a collector is told of a request, and that nothing is imported where nobody asks for them."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from hms.bench.processes import eventually
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service, clean_environment

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(ThreadingHTTPServer):
    """Takes spans as OpenTelemetry's collectors do, over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.spans: list[Span] = []
        self.raw = b""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans) if span.name == name]


class Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[Collector]:
    with Collector() as taking:
        thread = threading.Thread(target=taking.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield taking
        finally:
            taking.shutdown()
            thread.join()


def attributes(span: Span) -> dict[str, object]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_request_is_a_span_with_the_steps_in_redis_and_postgres_within_it(
    postgres: Postgres, redis: Redis, database_environment: dict[str, str]
) -> None:
    route = "GET /api/v1/codes/{code}"
    with collector() as taking:
        traced = {"HMS_TRACES_ENDPOINT": taking.endpoint, "HMS_TRACES_PERCENT": "0"}
        with Service(**database_environment, **redis.environment, **traced) as service:
            service.until_ready()
            eventually(lambda: service.metric("hms_app_cache_up") == 1)
            service.get("/api/v1/codes/Z99.89")
            answer = service.client.get("/api/v1/codes/K35", headers={"traceparent": PARENT})
            assert answer.status_code == 200
            assert service.stop() == 0
    (request,) = taking.named(route)  # the one whose client traces it; of the others none is chosen
    assert request.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    told = attributes(request)
    assert told["hms.request_id"] == answer.headers["x-request-id"]
    assert (told["http.route"], told["http.response.status_code"]) == ("/api/v1/codes/{code}", 200)
    steps = {span.name: span for span in taking.spans if span.parent_span_id == request.span_id}
    assert {"redis", "postgres"} <= set(steps)
    assert attributes(steps["postgres"])["server.address"] == postgres.address
    assert request.start_time_unix_nano <= steps["postgres"].start_time_unix_nano
    assert steps["postgres"].end_time_unix_nano <= request.end_time_unix_nano
    assert b"K35" not in taking.raw


def test_a_collector_that_is_away_costs_nothing_and_holds_up_no_stop(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    del postgres
    with Service(**database_environment, HMS_TRACES_ENDPOINT="http://127.0.0.1:9") as service:
        service.until_ready()
        assert service.get("/api/v1/codes/E11").status_code == 200
        assert service.stop() == 0


def test_without_the_setting_nothing_is_imported_and_nothing_is_needed() -> None:
    """redis-py imports what it finds of OpenTelemetry by itself, so what counts is that the service does without."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None; import app.__main__, app.tracing as t; print(t.tracing())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=clean_environment()
    )
    assert (done.stdout.strip(), done.returncode) == ("False", 0), done.stderr


def test_the_setting_without_the_packages_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry.exporter'] = None\nfrom app.__main__ import main; sys.exit(main())"
    )
    environment = clean_environment(HMS_POSTGRES_HOSTS="localhost:1", HMS_TRACES_ENDPOINT="http://localhost:4318")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "install the group `tracing`" in done.stderr
