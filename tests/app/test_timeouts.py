"""How long each route may take, what becomes of what takes longer, and what is written down of it."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.api.routes import ROUTES
from app.middleware.timeouts import seconds_of
from app.settings import from_environment
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.conftest import ADMIN_KEY, AS_ADMIN
from tests.app.raw import Client
from tests.app.test_protection import locked

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'hms-app' AND wait_event_type = 'Lock' AND query LIKE '%string_agg%'
"""
"""Pages of an export; what else a service does with the table is not meant."""

EXPORT = "/api/v1/enterprise/releases/current/export"

SECONDS = {
    "/": 30,
    "/api/v1/codes/batch": 30,
    "/api/v1/codes/{code}": 30,
    "/api/v1/search": 30,
    "/api/v1/autocomplete": 30,
    "/api/v1/users/{user}/bookmarks": 30,
    "/api/v1/users/{user}/bookmarks/{code}": 30,
    "/api/v1/admin/answers": 30,
    "/api/v1/admin/keys": 30,
    "/api/v1/admin/keys/{id}": 30,
    "/api/v1/enterprise/releases/{release}/export": 60,
    "/api/v1/enterprise/differences": 60,
    "/api/v1/health/resources": 10,
    "/api/v1/statistics/chapters": 30,
    "/api/v1/health/live": 10,
    "/api/v1/health/ready": 10,
    "/api/v1/openapi.json": 30,
    "/metrics": 10,
}

SEARCHES = {"/api/v1/search", "/api/v1/autocomplete"}

OF_ITS_OWN = {
    "HMS_SEARCH_TIMEOUT_SECONDS": SEARCHES,
    "HMS_ENTERPRISE_TIMEOUT_SECONDS": {path for path in SECONDS if path.startswith("/api/v1/enterprise/")},
    "HMS_HEALTH_TIMEOUT_SECONDS": {path for path in SECONDS if SECONDS[path] == 10},
    "HMS_REQUEST_TIMEOUT_SECONDS": {path for path in SECONDS if SECONDS[path] == 30} - SEARCHES,
}


def test_the_time_that_each_route_has() -> None:
    timeouts = from_environment({"HMS_POSTGRES_HOSTS": "one:1"}).timeouts
    assert {route.path: seconds_of(route.path, timeouts) for route in ROUTES} == SECONDS


@pytest.mark.parametrize("variable", OF_ITS_OWN)
def test_each_kind_has_a_setting_of_its_own(variable: str) -> None:
    timeouts = from_environment({"HMS_POSTGRES_HOSTS": "one:1", variable: "7"}).timeouts
    assert {route.path for route in ROUTES if seconds_of(route.path, timeouts) == 7} == OF_ITS_OWN[variable]


@pytest.fixture(scope="module")
def hasty(postgres: Postgres, database_environment: dict[str, str], admin_key_file: Path) -> Iterator[Service]:
    """Yield a service whose exports and searches have little time, and clients all that they like."""
    del postgres
    settings = {
        "HMS_ADMIN_KEY_FILE": str(admin_key_file),
        "HMS_ENTERPRISE_TIMEOUT_SECONDS": "5",
        "HMS_SEARCH_TIMEOUT_SECONDS": "0.5",
        "HMS_SLOW_CLIENT_SECONDS": "600",
    }
    with Service(**database_environment, **settings) as service:
        yield service.until_ready()


def test_an_export_that_is_held_beyond_its_deadline_is_a_504_and_its_query_is_gone(
    hasty: Service, postgres: Postgres
) -> None:
    with ThreadPoolExecutor(1) as threads, locked(postgres, "icd10_codes"):
        asked = threads.submit(hasty.client.get, EXPORT, headers=AS_ADMIN)
        eventually(lambda: postgres.value(WAITING) == 1)
        assert asked.result().status_code == 504
        eventually(lambda: postgres.value(WAITING) == 0)
    assert hasty.metric('hms_app_slots{kind="enterprise",state="used"}') == 0


def test_an_export_that_has_begun_is_cut_off_at_its_deadline_and_its_query_is_gone(
    hasty: Service, postgres: Postgres
) -> None:
    with Client(hasty.url, receive_buffer_bytes=4096) as client:
        client.send(f"GET {EXPORT} HTTP/1.1\r\nhost: x\r\nx-api-key: {ADMIN_KEY}\r\n\r\n")
        begun = client.socket.recv(64)
        assert begun.startswith(b"HTTP/1.1 200")
        with locked(postgres, "icd10_codes"):
            received: list[bytes] = []
            reader = threading.Thread(target=lambda: received.append(client.read_to_end()))
            reader.start()
            eventually(lambda: postgres.value(WAITING) == 1)  # for its next page
            eventually(lambda: postgres.value(WAITING) == 0)
            reader.join(60)
    assert not received[0].endswith(b"0\r\n\r\n")  # the end is missing, and the client can see that
    eventually(lambda: hasty.metric('hms_app_slots{kind="enterprise",state="used"}') == 0)


def test_what_is_logged_of_a_504_names_the_request_and_not_what_was_asked(hasty: Service, postgres: Postgres) -> None:
    with locked(postgres, "icd10_codes"):
        answer = hasty.client.get(
            "/api/v1/search", params={"q": "secret lumbago"}, headers={"x-request-id": "request-of-the-504"}
        )
    assert answer.status_code == 504
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "request-of-the-504"
    hasty.process.wait_for("request-of-the-504")
    (line,) = [json.loads(line) for line in hasty.process.lines if "request-of-the-504" in line]
    assert line.pop("seconds") >= 0.5
    assert line.pop("at")
    assert line == {
        "level": "info",
        "logger": "app.access",
        "message": "answered",
        "request_id": "request-of-the-504",
        "route": "/api/v1/search",
        "method": "GET",
        "status": 504,
    }
    assert "lumbago" not in hasty.process.output
