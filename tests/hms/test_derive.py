"""What evidence yields: planted faults are caught, and damage is said, never skipped."""

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hms.derive import derive
from hms.derive_drill import METRICS_OF_A_TRIAL, PROMOTIONS, PROMOTIONS_WHILE_BROKEN
from hms.evidence import LoadRun
from hms.evidence_directory import EvidenceDirectory, encode_record
from hms.metrics import METRICS
from hms.verdict import Observation
from tests.hms.evidence_samples import TrialPlan, load_run, write_checks, write_trial
from tests.hms.run_sample import sample_evidence

RUN = "drills/postgres-kill-primary/1"


def by_metric(path: Path, plan: TrialPlan) -> dict[str, Observation]:
    evidence = EvidenceDirectory(path)
    write_trial(evidence, plan)
    return {o.metric: o for o in derive(evidence.files()) if o.labels.get("engine") != "redis"}


def load_observations(load: LoadRun) -> dict[str, Observation]:
    found = derive({"load/first/1/load.json": encode_record(load)})
    return {o.labels.get("operation", o.metric): o for o in found if o.metric != "load.operation_failed"}


def test_a_clean_trial(tmp_path: Path) -> None:
    found = by_metric(tmp_path, TrialPlan(gap_ms=1200))
    assert found.pop(PROMOTIONS).values == found.pop(PROMOTIONS_WHILE_BROKEN).values == (0.0,)
    assert set(found) == set(METRICS_OF_A_TRIAL)
    assert all(o.labels == {"drill": "postgres-kill-primary", "writer": "postgres"} for o in found.values())
    assert all(not o.inconclusive for o in found.values())
    assert 1.19 < found["drill.write_gap"].values[0] < 1.26
    assert all(found[metric].values == (0.0,) for metric in METRICS_OF_A_TRIAL if metric != "drill.write_gap")


@pytest.mark.parametrize(
    ("plan", "metric", "count"),
    [
        (TrialPlan(lost=3), "drill.lost", 3),
        (TrialPlan(lost_on_replica=2), "drill.lost_on_replica", 2),
        (TrialPlan(duplicated=4), "drill.duplicated", 4),
        (TrialPlan(resurrected=1), "drill.resurrected", 1),
    ],
)
def test_what_is_planted_is_counted(tmp_path: Path, plan: TrialPlan, metric: str, count: int) -> None:
    found = by_metric(tmp_path, plan)[metric]
    assert (found.values, found.inconclusive) == ((float(count),), "")


def test_a_stack_that_never_recovers_is_a_conclusive_breach(tmp_path: Path) -> None:
    found = by_metric(tmp_path, TrialPlan(gap_ms=None, steady_after=False))
    assert (found["drill.write_gap"].values, found["drill.write_gap"].inconclusive) == ((math.inf,), "")
    assert found["drill.lost"].unresolved


def test_an_uncertain_clock_never_makes_the_gap_shorter(tmp_path: Path) -> None:
    sure = by_metric(tmp_path / "a", TrialPlan())["drill.write_gap"].values[0]
    unsure = by_metric(tmp_path / "b", TrialPlan(clock_uncertainty_ns=50_000_000))["drill.write_gap"].values[0]
    assert sure < unsure < sure + 0.05


@pytest.mark.parametrize(
    ("plan", "reason", "unresolved"),
    [
        (TrialPlan(proved=False), "the fault was not proved: process 41 is still there", False),
        (TrialPlan(steady_before=False), "no steady state before the fault: 2 of 3 members", False),
        (TrialPlan(steady_after=False), "no steady state after the fault: 2 of 3 members", True),
        (TrialPlan(interval_ms=5000), "no write was acknowledged in the second before the fault", False),
    ],
)
def test_a_trial_that_must_not_count_says_why(tmp_path: Path, plan: TrialPlan, reason: str, unresolved: bool) -> None:
    found = by_metric(tmp_path, plan)
    if plan.interval_ms == 5000:
        told = found.pop(PROMOTIONS), found.pop(PROMOTIONS_WHILE_BROKEN)
        assert not any(each.inconclusive for each in told), "that somebody was promoted does not hang on the writes"
    for observation in found.values():
        assert (observation.inconclusive, observation.unresolved) == (reason, unresolved)


def test_where_no_fault_was_injected_there_is_no_gap(tmp_path: Path) -> None:
    found = by_metric(tmp_path, TrialPlan(gap_ms=None, steady_before=False))
    assert found["drill.write_gap"].values == ()


def test_a_key_that_the_ledger_does_not_know_means_that_the_ledger_is_not_whole(tmp_path: Path) -> None:
    found = by_metric(tmp_path, TrialPlan(foreign=2))
    assert "2 keys that the ledger of postgres does not know" in found["drill.lost"].inconclusive
    assert found["drill.lost"].unresolved
    assert not found["drill.write_gap"].inconclusive


def cut(content: bytes) -> bytes:
    return content[:-5]


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("trial.json", cut, "trial.json: not a Trial"),
        ("trial.json", None, "trial.json: missing"),
        ("trial.json", lambda b: b.replace(b'"drill": "postgres-', b'"drill": "redis-'), "it is of drill 'redis-kill"),
        ("postgres.ledger.jsonl", None, "postgres.ledger.jsonl: missing"),
        ("postgres.ledger.jsonl", lambda _: b"", "postgres.ledger.jsonl: holds no write"),
        ("postgres.ledger.jsonl", lambda b: b"x" + b, "postgres.ledger.jsonl, line 1: not a record"),
        ("postgres.present.postgres-1.jsonl", None, "postgres.present.postgres-1.jsonl: missing"),
        ("postgres.present.postgres-2.jsonl", cut, "postgres.present.postgres-2.jsonl: cannot be read"),
        ("postgres.present.postgres-2.jsonl", lambda b: b + b, "a key comes twice"),
    ],
)
def test_damage_is_said_for_each_metric_that_it_touches(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes] | None, complaint: str
) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_trial(evidence, TrialPlan())
    files = evidence.files()
    content = files.pop(f"{RUN}/{name}")
    if change is not None:
        files[f"{RUN}/{name}"] = change(content)
    found = {o.metric: o for o in derive(files)}
    assert set(found) >= set(METRICS_OF_A_TRIAL)
    touched = [o for o in found.values() if o.inconclusive]
    assert len(touched) >= 4
    assert all(complaint in o.inconclusive and o.unresolved and not o.values for o in touched)
    assert {o.labels.get("writer", "postgres") for o in found.values()} == {"postgres"}


def test_what_the_manifest_knows_otherwise_spoils_its_run_alone(tmp_path: Path) -> None:
    files = sample_evidence(tmp_path).files()
    changed = "drills/redis-kill-primary/2/redis.ledger.jsonl"
    found = derive(files, damaged=[changed])
    spoiled = {o.run for o in found if o.inconclusive}
    assert spoiled == {"drills/redis-kill-primary/2"}
    assert all(f"{changed} is not what the manifest says" in o.inconclusive for o in found if o.inconclusive)


def test_a_run_that_only_the_manifest_knows_is_not_forgotten() -> None:
    found = derive({}, damaged=[f"{RUN}/trial.json", "smoke/checks.jsonl", "load/first/2/load.json"])
    assert {o.run for o in found} == {RUN, "smoke", "load/first/2"}
    assert all(o.unresolved for o in found)


def test_a_trial_that_could_not_be_tried(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_trial(evidence, TrialPlan())
    files = evidence.files()
    trial = msgspec.json.decode(files[f"{RUN}/trial.json"])
    files[f"{RUN}/trial.json"] = msgspec.json.encode(trial | {"not_applicable": "one node only", "writers": []})
    found = derive(files)
    assert {o.not_applicable for o in found} == {"one node only"}
    assert {o.labels["writer"] for o in found if "writer" in o.labels} == {
        "app",
        "postgres",
        "postgres-stubborn",
        "redis",
    }


def test_checks_are_counted(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_checks(evidence, disagreeing=2)
    (found,) = derive(evidence.files())
    assert (found.values, found.inconclusive) == ((2.0,), "")


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"id":'])
def test_checks_that_cannot_be_read_are_no_checks(content: bytes) -> None:
    (found,) = derive({"smoke/checks.jsonl": content})
    assert found.unresolved
    assert found.values == ()


def test_a_load_run() -> None:
    found = load_observations(load_run(rate_per_second=100, duration_seconds=30, failed=30, dropped=0))
    assert found["load.failed"].values == (1.0,)
    assert found["load.dropped"].values == (0.0,)
    assert found["load.throughput"].values == (2970 / 30 * 3600,)
    assert {"search", "lookup", "bookmark"} <= set(found)
    assert found["search"].labels == {
        "scenario": "first", "rate_per_second": "100", "shape": "steady", "operation": "search",
    }  # fmt: skip
    assert found["search"].histogram
    assert not any(o.inconclusive for o in found.values())


def test_a_request_that_never_ended_has_failed() -> None:
    load = load_run()
    silent = msgspec.structs.replace(load, operations=load.operations[1:])
    failed = load_observations(silent)["load.failed"].values[0]
    assert failed == pytest.approx(60)


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (load_run(cpu_fraction=0.97), "used 97% of its CPU"),
        (load_run(lag_us=60_000), "p99 lag was"),
        (
            msgspec.structs.replace(load_run(), rate_per_second=110.0),
            "intended 3000 requests where its rate asks for 3300",
        ),
    ],
)
def test_a_generator_that_was_the_limit(load: LoadRun, reason: str) -> None:
    for observation in load_observations(load).values():
        assert reason in observation.inconclusive
        assert not observation.unresolved


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"dropped": 1}, "3000 intended, but 3000 sent and 1 dropped"),
        ({"sent": 0, "dropped": 3000}, "0 requests sent"),
        ({"duration_seconds": 0.0}, "say nothing"),
        ({"sent": 2999, "dropped": 1}, "3000 requests ended, but only 2999 were sent"),
        ({"scenario": "second"}, "it is of scenario 'second'"),
    ],
)
def test_counts_that_do_not_agree_are_damage(changes: dict[str, object], complaint: str) -> None:
    found = load_observations(msgspec.structs.replace(load_run(), **changes))
    assert all(complaint in o.inconclusive and o.unresolved for o in found.values())


def test_a_histogram_that_cannot_be_read_is_damage() -> None:
    load = load_run()
    broken = msgspec.structs.replace(load.operations[0], response_histogram="AAAA")
    found = load_observations(msgspec.structs.replace(load, operations=(broken, *load.operations[1:])))
    assert all("not an HDR histogram" in o.inconclusive for o in found.values())


def test_a_histogram_with_fewer_times_than_answers_is_damage() -> None:
    load = load_run()
    thin = msgspec.structs.replace(load.operations[0], response_histogram=load.operations[2].response_histogram)
    found = load_observations(msgspec.structs.replace(load, operations=(thin, *load.operations[1:])))
    assert all("search was answered 1800 times, with 300 response times" in o.inconclusive for o in found.values())


def test_every_metric_that_claims_may_use_is_derived(tmp_path: Path) -> None:
    found = derive(sample_evidence(tmp_path).files())
    # What only a spike, a soak or a search for the capacity shows is in `test_derive_load_time`.
    only_elsewhere = {"load.recovery", "load.drift", "load.memory_growth", "load.capacity"}
    assert {o.metric for o in found} == set(METRICS) - only_elsewhere
    assert all(set(o.labels) == METRICS[o.metric].labels for o in found)
