"""Limits, deadlines and a stop that loses nothing, made certain by a lock that holds requests where they are."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from typing import cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.connection import Connection
from app.db.statement_timeout import bounded, longest_ms
from app.deadline import Deadline
from app.middleware.concurrency import Slots
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.raw import Client

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hms-app' AND wait_event_type = 'Lock'"

KEPT = {201, 200}
"""A PUT that was held is tried again meanwhile, and may then find its own bookmark."""


@contextmanager
def locked(postgres: Postgres, table: str) -> Iterator[None]:
    """Hold every statement that touches the table."""
    with postgres.connect() as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


def test_beyond_the_limit_and_a_short_queue_requests_are_refused_and_health_is_not(
    postgres: Postgres, database_environment: dict[str, str], threads: ThreadPoolExecutor
) -> None:
    with Service(**database_environment, HMS_MAX_CONCURRENCY="3") as service:
        service.until_ready()
        with locked(postgres, "bookmarks"):
            running = [threads.submit(service.put_bookmark, "limit", f"A0{n}") for n in range(3)]
            eventually(lambda: service.metric("hms_app_requests_active") == 4)  # the three, and this question
            refused = list(threads.map(lambda _: service.get("/api/v1/codes/E11"), range(10)))
            assert {answer.status_code for answer in refused} == {503}
            assert {answer.headers["retry-after"] for answer in refused} == {"1"}
            assert {answer.json()["type"] for answer in refused} == {"urn:hms:problem:overloaded"}
            assert service.metric("hms_app_requests_refused_total") == 10
            for path in ("/", "/api/v1/openapi.json"):  # no slot is kept for these
                assert service.get(path).status_code == 503
            assert service.get("/api/v1/health/ready").status_code == 200
        assert all(answer.result().status_code in KEPT for answer in running)
        assert service.get("/api/v1/codes/E11").status_code == 200


def test_who_waits_a_moment_gets_the_slot_that_comes_free_and_who_finds_a_full_queue_does_not_wait() -> None:
    async def story() -> tuple[bool, bool, bool, bool]:
        slots = Slots(10, queue_seconds=0.5)  # and one may wait
        taken = [await slots.take() for _ in range(10)]
        waiting = asyncio.create_task(slots.take())
        await asyncio.sleep(0)
        refused = await slots.take()
        slots.give_back()
        served = await waiting
        return all(taken), refused, served, await slots.take()

    assert asyncio.run(story()) == (True, False, True, False)


@pytest.mark.parametrize(
    ("table", "path"), [("icd10_codes", "/api/v1/codes/E11"), ("icd10_codes", "/api/v1/search?q=heart")]
)
def test_a_read_beyond_its_deadline_is_a_504_and_its_statement_is_gone(
    postgres: Postgres, database_environment: dict[str, str], table: str, path: str
) -> None:
    timeouts = {"HMS_REQUEST_TIMEOUT_SECONDS": "0.5", "HMS_SEARCH_TIMEOUT_SECONDS": "0.5"}
    with Service(**database_environment, **timeouts) as service:
        service.until_ready()
        with locked(postgres, table):
            answer = service.get(path)
            assert (answer.status_code, answer.json()["type"]) == (504, "urn:hms:problem:timeout")
            eventually(lambda: postgres.value(WAITING) == 0)
        assert service.get(path).status_code == 200


def test_a_write_beyond_its_deadline_is_a_504_and_its_statement_is_gone(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    with Service(**database_environment, HMS_REQUEST_TIMEOUT_SECONDS="0.5") as service:
        service.until_ready()
        with locked(postgres, "bookmarks"):
            assert service.put_bookmark("late", "E11").status_code == 504
            eventually(lambda: postgres.value(WAITING) == 0)
        assert service.bookmarks("late") == []


def test_the_statement_of_a_client_that_left_is_gone_from_the_server(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    with Service(**database_environment) as service:
        service.until_ready()
        with locked(postgres, "icd10_codes"):
            with Client(service.url) as client:
                client.send("GET /api/v1/codes/E11.9 HTTP/1.1\r\nhost: x\r\n\r\n")
                eventually(lambda: postgres.value(WAITING) == 1)
            eventually(lambda: service.metric('hms_app_requests_abandoned_total{reason="left"}') == 1)
            eventually(lambda: postgres.value(WAITING) == 0)
            assert service.metric("hms_app_requests_active") == 1  # this question: nothing is tried again
            line = 'hms_app_request_duration_seconds_count{method="GET",route="/api/v1/codes/{code}",status="499"}'
            assert service.metric(line) == 1


def test_the_statement_of_an_instance_that_was_killed_ends_at_the_deadline_of_its_request(
    postgres: Postgres, database_environment: dict[str, str], threads: ThreadPoolExecutor
) -> None:
    # Beside it a backstop that is far longer, which is what a connection begins with.
    timeouts = {"HMS_REQUEST_TIMEOUT_SECONDS": "3", "HMS_ENTERPRISE_TIMEOUT_SECONDS": "600"}
    with Service(**database_environment, **timeouts) as service, locked(postgres, "icd10_codes"):
        asked = threads.submit(service.get, "/api/v1/codes/E11")
        eventually(lambda: postgres.value(WAITING) == 1)
        service.process.kill()
        with pytest.raises(httpx.TransportError):
            asked.result()
        eventually(lambda: postgres.value(WAITING) == 0)


@given(st.floats(0.001, 600), st.lists(st.floats(0, 1), max_size=20))
def test_a_connection_is_told_of_a_deadline_only_where_it_must_be(seconds: float, shares: list[float]) -> None:
    told: list[int] = []

    class Server:
        async def execute(self, statement: str, values: tuple[str]) -> None:
            del statement
            told.append(int(values[0]))

    async def nothing(connection: Connection) -> None:
        del connection

    async def story() -> None:
        connection = cast(Connection, Server())
        await bounded(nothing, Deadline(seconds=seconds))(connection)
        assert len(told) == 1
        await bounded(nothing, Deadline(seconds=seconds))(connection)
        assert len(told) == 1  # the next request of the same kind finds it said
        for share in shares:
            deadline = Deadline(seconds=seconds * share)
            await bounded(nothing, deadline)(connection)
            remaining_ms = deadline.remaining_seconds * 1000
            assert remaining_ms <= told[-1] <= longest_ms(ceil(seconds * share * 1000) or 1)

    asyncio.run(story())


def test_a_stop_answers_what_runs_tells_clients_to_leave_and_exits_with_0(
    postgres: Postgres, database_environment: dict[str, str], threads: ThreadPoolExecutor
) -> None:
    with Service(**database_environment, HMS_DRAIN_SECONDS="1") as service:
        service.until_ready()
        assert "connection" not in service.get("/api/v1/codes/E11").headers
        with locked(postgres, "bookmarks"):
            running = threads.submit(service.put_bookmark, "stopping", "E11")
            eventually(lambda: service.metric("hms_app_requests_active") == 2)
            stopped = threads.submit(service.stop)
            service.process.wait_for('"message":"stopping"')
            leaving = service.get("/api/v1/health/ready")
            assert (leaving.status_code, leaving.headers["connection"]) == (503, "close")
            during = service.get("/api/v1/codes/E11")
            assert (during.status_code, during.headers["connection"]) == (200, "close")
            service.process.wait_for("Shutting down")
            with pytest.raises(httpx.TransportError):
                service.get("/api/v1/codes/E11")
            assert not stopped.done()
        assert running.result().status_code in KEPT
        assert stopped.result() == 0
    assert postgres.value("SELECT count(*) FROM bookmarks WHERE user_name = 'stopping'") == 1


def test_an_idle_service_stops_at_once_when_told_twice(
    postgres: Postgres, database_environment: dict[str, str], threads: ThreadPoolExecutor
) -> None:
    del postgres
    with Service(**database_environment, HMS_DRAIN_SECONDS="300") as service:
        service.until_ready()
        stopped: Future[int] = threads.submit(service.stop)
        service.process.wait_for('"message":"stopping"')
        assert service.stop() == 0
        assert stopped.result() == 0
