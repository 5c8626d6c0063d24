"""What a load run shows only over its time: recovery, drift, growth; and what a probe of the capacity counts for."""

import math

import msgspec
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types

from hms.derive import derive
from hms.evidence import LoadRun, Objective, Resource, Window, WindowOperation
from hms.evidence_directory import encode_record
from hms.verdict import Observation
from tests.hms.evidence_samples import load_run

CALM = Objective(p99_ms=10_000, failed_percent=100)


def window(number: int, *, ms: float = 10.0, failed: int = 0, dropped: int = 0, name: str = "search") -> Window:
    histogram = HdrHistogram(1, 600_000_000, 2)
    histogram.record_value(round(ms * 1000))
    operation = WindowOperation(
        name=name, ok=1, failed=failed, response_histogram=histogram.encode().decode("ascii")
    )  # fmt: skip
    return Window(number=number, dropped=dropped, cpu_fraction=0.1, operations=(operation,))


def observations(load: LoadRun, resources: bytes = b"") -> dict[str, list[Observation]]:
    files = {"load/first/1/load.json": encode_record(load)}
    if resources:
        files["load/first/1/resources.jsonl"] = resources
    found: dict[str, list[Observation]] = {}
    for observation in derive(files):
        found.setdefault(observation.metric, []).append(observation)
    return found


def spiked(*windows: Window) -> LoadRun:
    return msgspec.structs.replace(
        load_run(rate_per_second=100, duration_seconds=30),
        shape="1:5s, 4:5s, 0.25:20s", duration_seconds=30.0, window_seconds=1.0, windows=windows,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("windows", "seconds"),
    [
        ([window(2), window(29)], 0.0),
        ([window(7, failed=3), window(29)], 0.0),  # in the spike itself
        ([window(12, failed=1), window(29)], 3.0),
        ([window(14, dropped=1), window(29)], 5.0),
        ([window(11, name="refused"), window(29)], 2.0),
        ([window(29, failed=1)], math.inf),
    ],
)
def test_recovery_counts_from_the_end_of_the_spike_to_the_last_trouble(
    windows: list[Window], seconds: float
) -> None:  # fmt: skip
    (recovery,) = observations(spiked(*windows))["load.recovery"]
    assert recovery.values == (seconds,)
    assert recovery.labels["shape"] == "1:5s, 4:5s, 0.25:20s"


def soaked(*, last_ms: float) -> LoadRun:
    windows = tuple(window(n, ms=last_ms if n >= 225 else 10.0) for n in range(300))
    steady = load_run(rate_per_second=5, duration_seconds=600)
    return msgspec.structs.replace(steady, window_seconds=2.0, windows=windows)


def test_a_soak_shows_drift_and_a_short_run_none() -> None:
    drift = {o.labels["operation"]: o.values[0] for o in observations(soaked(last_ms=12.0))["load.drift"]}
    assert drift["search"] == pytest.approx(20, abs=1)
    assert "load.drift" not in observations(msgspec.structs.replace(soaked(last_ms=12.0), duration_seconds=599.0))


def test_the_pod_that_grew_most_stands_for_its_role() -> None:
    samples = [
        Resource(at_seconds=at, pod=pod, role="app", cpu_cores=0.1, memory_bytes=1000 + round(growth * at))
        for at in range(0, 600, 5)
        for pod, growth in (("app-a", 0.0), ("app-b", 1.0))
    ]
    lines = b"".join(msgspec.json.encode(one) + b"\n" for one in samples)
    (grown,) = observations(soaked(last_ms=10), lines)["load.memory_growth"]
    assert grown.labels["role"] == "app"
    assert grown.values[0] == pytest.approx(100 * 300 / 1222, abs=2)


def test_resources_that_cannot_be_read_hide_nothing() -> None:
    found = observations(soaked(last_ms=10), b"{\n")
    assert all(o.unresolved and "resources.jsonl" in o.inconclusive for several in found.values() for o in several)
    assert "load.memory_growth" in found


def test_only_a_probe_that_confirms_and_holds_is_a_capacity() -> None:
    load = load_run(rate_per_second=100, duration_seconds=30)
    confirms = msgspec.structs.replace(CALM, confirms=True)
    (capacity,) = observations(msgspec.structs.replace(load, objective=confirms))["load.capacity"]
    assert capacity.values == (360_000.0,)
    assert observations(msgspec.structs.replace(load, objective=CALM)) == {}
    tight = msgspec.structs.replace(confirms, p99_ms=0.01)
    assert observations(msgspec.structs.replace(load, objective=tight)) == {}
