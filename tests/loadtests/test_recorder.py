"""The account of a run: nothing lost, nothing twice, however it is divided."""

from itertools import pairwise

import msgspec
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types
from hypothesis import given, settings
from hypothesis import strategies as st

from hms.evidence import LoadRun
from loadtests.account import LatestRecords
from loadtests.merging import merge_records
from loadtests.options import StreamOptions
from loadtests.recorder import HIGHEST_US, Recorder, WorkerRecord
from loadtests.summary import percentile_ms, summary_lines

# An arrival: operation, lag and service time in microseconds, failure; None is one that was dropped.
arrivals = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from(["search", "lookup", "bookmark"]),
        st.integers(0, 5_000_000),
        st.integers(0, 2 * HIGHEST_US),
        st.sampled_from(["", "", "HTTP 503", "no answer within 10 s"]),
    ),
)
Arrival = tuple[str, int, int, str] | None


def account(seen: list[Arrival], *, completed: int = 1, cpu: float = 0.5) -> WorkerRecord:
    recorder = Recorder()
    recorder.begin(origin_ns=0, window_seconds=1.0)
    for arrival in seen:
        if arrival is None:
            recorder.drop(intended_ns=1_000_000)
            continue
        name, lag_us, service_us, failure = arrival
        started_ns = 1_000_000 + lag_us * 1000
        recorder.start(intended_ns=1_000_000, started_ns=started_ns)
        recorder.finish(
            name,
            intended_ns=1_000_000,
            started_ns=started_ns,
            ended_ns=started_ns + service_us * 1000,
            failure=failure,
        )
    return recorder.record(streams_completed=completed, cpu_fraction=cpu)


def merged(*records: WorkerRecord) -> LoadRun:
    return merge_records(records, scenario="first", rate_per_second=10, duration_seconds=1, seed=1)


@settings(deadline=None)
@given(seen=st.lists(arrivals, max_size=60), cuts=st.lists(st.integers(0, 60), max_size=3))
def test_workers_add_up_to_what_one_would_have_seen(seen: list[Arrival], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(seen)]
    parts = [account(seen[a:b]) for a, b in pairwise(edges)]
    together, alone = merged(*parts), without_processor_time(merged(account(seen)))
    assert together.generator.workers == len(parts)
    assert without_processor_time(msgspec.structs.replace(together, generator=alone.generator)) == alone
    assert together.generator.lag_histogram == alone.generator.lag_histogram
    assert merged(*reversed(parts)) == together


def without_processor_time(run: LoadRun) -> LoadRun:
    """Return a run as if no processor time had been read: it is the machine's, not the arrivals'."""
    windows = tuple(msgspec.structs.replace(window, cpu_fraction=0.0) for window in run.windows)
    return msgspec.structs.replace(run, windows=windows)


@settings(deadline=None)
@given(seen=st.lists(arrivals, max_size=60))
def test_the_windows_add_up_to_the_run(seen: list[Arrival]) -> None:
    run = merged(account(seen))
    assert sum(window.dropped for window in run.windows) == run.dropped
    for operation in run.operations:
        mine = [one for window in run.windows for one in window.operations if one.name == operation.name]
        assert sum(one.ok for one in mine) == operation.ok
        assert sum(one.failed for one in mine) == operation.failed
        counted = sum(HdrHistogram.decode(one.response_histogram.encode()).get_total_count() for one in mine)
        assert counted == operation.ok + operation.failed


def test_a_request_belongs_to_the_window_in_which_it_was_due() -> None:
    recorder = Recorder()
    recorder.begin(origin_ns=5_000_000_000, window_seconds=2.0)
    recorder.begin(origin_ns=9_000_000_000, window_seconds=7.0)  # a second stream of the worker
    for due_s in (5.1, 6.9, 8.9, 9.1):
        due_ns = round(due_s * 1e9)
        recorder.start(intended_ns=due_ns, started_ns=due_ns)
        recorder.finish("search", intended_ns=due_ns, started_ns=due_ns, ended_ns=due_ns + 10**10, failure="")
    recorder.drop(intended_ns=11_500_000_000)
    windows = recorder.record(streams_completed=1, cpu_fraction=0).windows
    assert [(w.number, sum(o.ok for o in w.operations), w.dropped) for w in windows] == [
        (0, 2, 0), (1, 1, 0), (2, 1, 0), (3, 0, 1),
    ]  # fmt: skip


@settings(deadline=None)
@given(seen=st.lists(arrivals, max_size=60))
def test_every_arrival_is_accounted_for(seen: list[Arrival]) -> None:
    run = merged(account(seen))
    assert run.intended == len(seen) == run.sent + run.dropped
    assert run.sent == sum(operation.ok + operation.failed for operation in run.operations)
    for operation in run.operations:
        assert operation.failed == sum(operation.failures.values())
        for encoded in (operation.response_histogram, operation.service_histogram):
            counted = HdrHistogram.decode(encoded.encode()).get_total_count()
            assert counted == operation.ok + operation.failed


def test_response_time_counts_from_the_intended_start_and_service_time_from_the_sending() -> None:
    run = merged(account([("search", 40_000, 10_000, "")]))
    (operation,) = run.operations
    assert round(percentile_ms(operation.response_histogram, 50)) == 50
    assert round(percentile_ms(operation.service_histogram, 50)) == 10
    assert round(percentile_ms(run.generator.lag_histogram, 50)) == 40


def test_what_takes_longer_than_the_histogram_holds_is_still_counted() -> None:
    run = merged(account([("search", 0, 10 * HIGHEST_US, "")]))
    assert percentile_ms(run.operations[0].response_histogram, 100) >= HIGHEST_US / 1000


def test_a_newer_record_replaces_the_worker_s_older_one() -> None:
    records = LatestRecords()
    records.put("a", account([("search", 0, 10, "")], completed=0))
    records.put("b", account([("search", 0, 10, "")]))
    records.put("a", account([("search", 0, 10, ""), None], cpu=0.9))
    assert records.streams_completed == 2
    options = StreamOptions(
        rate_per_second=1, seconds=1, shape="", arrivals="poisson", max_in_flight=8, seed=1, scenario="first",
        streams=2, workers=2,
    )  # fmt: skip
    run = records.merged(options)
    assert run.rate_per_second == 2
    assert (run.intended, run.sent, run.dropped) == (3, 2, 1)
    assert run.generator.cpu_fraction == 0.9


def test_the_summary_names_failures_drops_and_the_generator() -> None:
    text = "\n".join(summary_lines(merged(account([("search", 0, 2000, "HTTP 503"), None]))))
    assert "1 x HTTP 503" in text
    assert "2 intended, 1 sent, 1 dropped" in text
    assert "1 workers, busiest 50% of a CPU" in text
