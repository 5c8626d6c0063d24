"""The generator as a whole, against servers that are not always well."""

import signal

import pytest

from loadtests.summary import percentile_ms
from tests.loadtests.locust_process import (
    CLOSED_LOOP,
    closed_loop_p99_ms,
    finish,
    free_port,
    open_loop_arguments,
    record_in,
    start,
)
from tests.loadtests.server import StallingServer

STALL_SECONDS = 2.0


@pytest.mark.slow
def test_a_stall_shows_in_the_open_loop_and_hides_in_the_closed_one() -> None:
    with StallingServer(stall_after_seconds=2.0, stall_seconds=STALL_SECONDS) as server:
        code, out, err = finish(start(*open_loop_arguments(server.url, rate=50, seconds=8)))
    assert code == 0, err
    run = record_in(out)
    response_p99 = max(percentile_ms(o.response_histogram, 99) for o in run.operations)
    with StallingServer(stall_after_seconds=2.0, stall_seconds=STALL_SECONDS) as server:
        closed = start(
            "--headless", "--host", server.url, "--users", "2", "--spawn-rate", "2", "--run-time", "8", "--json",
            locustfile=CLOSED_LOOP,
        )  # fmt: skip
        code, out, err = finish(closed)
    assert code == 0, err
    assert run.dropped == 0
    assert response_p99 > 1000 * STALL_SECONDS * 0.9
    assert closed_loop_p99_ms(out) < 1000 * STALL_SECONDS / 2


def test_what_cannot_be_sent_is_counted_as_dropped() -> None:
    with StallingServer(stall_after_seconds=0.0, stall_seconds=3.0) as server:
        code, out, err = finish(start(*open_loop_arguments(server.url, rate=50, seconds=2, max_in_flight=5)))
        received = server.requests
    assert code == 0, err
    run = record_in(out)
    assert run.sent == received == 5
    assert run.dropped == run.intended - run.sent
    assert 60 < run.intended < 150
    assert sum(o.ok for o in run.operations) == 5


def test_failures_are_told_apart_and_do_not_fail_the_generator() -> None:
    code, out, err = finish(start(*open_loop_arguments(f"http://127.0.0.1:{free_port()}", rate=20, seconds=1)))
    assert code == 0, err
    run = record_in(out)
    assert run.sent > 0
    assert sum(o.ok for o in run.operations) == 0
    reasons = {reason for o in run.operations for reason in o.failures}
    assert all("ConnectionRefused" in reason for reason in reasons)
    assert sum(o.failed for o in run.operations) == run.sent


def test_workers_add_up() -> None:
    port = str(free_port())
    with StallingServer(stall_after_seconds=60, stall_seconds=0) as server:
        worker_arguments = ["--worker", "--master-host", "127.0.0.1", "--master-port", port, "First"]
        workers = [start(*worker_arguments) for _ in range(2)]
        master = start(
            "--master", "--master-bind-port", port, "--expect-workers", "2", "--expect-workers-max-wait", "30",
            *open_loop_arguments(server.url, rate=25, seconds=2, streams=2),
        )  # fmt: skip
        code, out, err = finish(master)
        for worker in workers:
            finish(worker)
        received = server.requests
    assert code == 0, err
    run = record_in(out)
    assert run.generator.workers == 2
    assert run.rate_per_second == 50
    assert run.intended == run.sent == received
    assert {o.name for o in run.operations} <= {"search", "lookup", "bookmark"}


def test_a_lost_worker_is_an_error_and_no_figure() -> None:
    port = str(free_port())
    with StallingServer(stall_after_seconds=60, stall_seconds=0) as server:
        worker_arguments = ["--worker", "--master-host", "127.0.0.1", "--master-port", port, "First"]
        workers = [start(*worker_arguments) for _ in range(2)]
        master = start(
            "--master", "--master-bind-port", port, "--expect-workers", "2", "--expect-workers-max-wait", "30",
            *open_loop_arguments(server.url, rate=25, seconds=60, streams=2),
        )  # fmt: skip
        server.wait_for_requests(20)
        workers[0].send_signal(signal.SIGKILL)
        code, out, err = finish(master)
        for worker in workers:
            finish(worker)
    assert code == 1
    assert "1 of 2 workers lost" in err
    assert "HMS-LOAD-RUN" not in out
