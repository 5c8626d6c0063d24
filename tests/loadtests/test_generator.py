"""The generator as a whole, against servers that are not always well."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loadtests.summary import percentile_ms
from tests.loadtests.locust_process import (
    CLOSED_LOOP,
    closed_loop_p99_ms,
    finish,
    free_port,
    locust,
    open_loop_arguments,
    record_in,
    run,
)
from tests.loadtests.server import StallingServer

STALL_SECONDS = 2.0


@pytest.mark.slow
def test_a_stall_shows_in_the_open_loop_and_hides_in_the_closed_one() -> None:
    with StallingServer(stall_after_seconds=2.0, stall_seconds=STALL_SECONDS) as server:
        code, out, err = run(*open_loop_arguments(server.url, rate=50, seconds=8))
    assert code == 0, err
    record = record_in(out)
    response_p99 = max(percentile_ms(o.response_histogram, 99) for o in record.operations)
    with StallingServer(stall_after_seconds=2.0, stall_seconds=STALL_SECONDS) as server:
        code, out, err = run(
            "--headless", "--host", server.url, "--users", "1", "--spawn-rate", "1", "--run-time", "8", "--json",
            locustfile=CLOSED_LOOP,
        )  # fmt: skip
    assert code == 0, err
    assert response_p99 > 1000 * STALL_SECONDS * 0.75
    assert closed_loop_p99_ms(out) < 1000 * STALL_SECONDS / 2


def test_what_cannot_be_sent_is_counted_as_dropped() -> None:
    with StallingServer(stall_after_seconds=0.0, stall_seconds=3.0) as server:
        code, out, err = run(*open_loop_arguments(server.url, rate=50, seconds=2, max_in_flight=5))
        received = server.requests
    assert code == 0, err
    record = record_in(out)
    assert record.sent == received == 5
    assert record.dropped == record.intended - record.sent
    assert 60 < record.intended < 150
    assert sum(o.ok for o in record.operations) == 5


def test_failures_are_told_apart_and_do_not_fail_the_generator() -> None:
    code, out, err = run(*open_loop_arguments(f"http://127.0.0.1:{free_port()}", rate=20, seconds=1))
    assert code == 0, err
    record = record_in(out)
    assert record.sent > 0
    assert sum(o.ok for o in record.operations) == 0
    reasons = {reason for o in record.operations for reason in o.failures}
    assert all("ConnectionRefused" in reason for reason in reasons)
    assert sum(o.failed for o in record.operations) == record.sent


@contextmanager
def generator(url: str, *, seconds: float) -> Iterator[tuple[subprocess.Popen[str], list[subprocess.Popen[str]]]]:
    """Run a master and two workers, 25 arrivals a second each."""
    port = str(free_port())
    worker = ("--worker", "--master-host", "127.0.0.1", "--master-port", port, "First")
    master = (
        "--master", "--master-bind-port", port, "--expect-workers", "2", "--expect-workers-max-wait", "90",
        *open_loop_arguments(url, rate=25, seconds=seconds, streams=2),
    )  # fmt: skip
    with locust(*worker) as first, locust(*worker) as second, locust(*master) as main:
        yield main, [first, second]


def test_workers_add_up() -> None:
    with StallingServer(stall_after_seconds=60, stall_seconds=0) as server:
        with generator(server.url, seconds=2) as (master, workers):
            code, out, err = finish(master)
            for worker in workers:
                finish(worker)
        received = server.requests
    assert code == 0, err
    record = record_in(out)
    assert record.generator.workers == 2
    assert record.rate_per_second == 50
    assert record.intended == record.sent == received
    assert {o.name for o in record.operations} <= {"search", "lookup", "bookmark"}


def test_tags_choose_among_a_scenario_s_operations_and_the_shape_is_seen_in_the_windows() -> None:
    with StallingServer(stall_after_seconds=60, stall_seconds=0) as server:
        code, out, err = run(
            "--headless", "--only-summary", "--host", server.url, "--users", "2", "--spawn-rate", "2", "--stream-rate",
            "10", "--stream-shape", "1:1s, 8:1s, 1:1s", "--load-scenario", "mixed", "--tags", "write", "--", "Mixed",
        )  # fmt: skip
    assert code == 0, err
    record = record_in(out)
    assert {o.name for o in record.operations} == {"bookmark", "unmark"}
    assert record.shape == "1:1s, 8:1s, 1:1s"
    assert (record.duration_seconds, record.window_seconds) == (3, 1)
    before, spike, after = (sum(o.ok for o in window.operations) for window in record.windows)
    assert spike > 2 * max(before, after) > 0


def test_a_lost_worker_is_an_error_and_no_figure() -> None:
    with (
        StallingServer(stall_after_seconds=60, stall_seconds=0) as server,
        generator(server.url, seconds=60) as (master, workers),
    ):
        server.wait_for_requests(20)
        workers[0].send_signal(signal.SIGKILL)
        code, out, err = finish(master)
    assert code == 1
    assert "1 of 2 workers lost" in err
    assert "HMS-LOAD-RUN" not in out
