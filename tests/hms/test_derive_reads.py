"""What a trial's readers contribute: what was planted is counted, and damage is never passed over."""

import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hms.derive import derive
from hms.derive_reads import METRICS_OF_A_READER
from hms.evidence_directory import EvidenceDirectory
from hms.verdict import Observation
from tests.hms.evidence_samples import TrialPlan, write_trial
from tests.hms.read_samples import READERS, with_readers, write_control

RUN = "drills/postgres-kill-primary/1"
PLAN = TrialPlan(bystanders=("app",))


def files_of(
    path: Path, plan: TrialPlan = PLAN, *, failed: int = 0, stale_ms: int = 0, gap_ms: int = 0
) -> dict[str, bytes]:
    evidence = EvidenceDirectory(path)
    write_trial(evidence, plan)
    files = evidence.files()
    record = with_readers(evidence, plan, failed=failed, stale_ms=stale_ms, gap_ms=gap_ms)
    return {**evidence.files(), **files, f"{plan.path}/trial.json": msgspec.json.encode(record)}


def of_reader(files: dict[str, bytes], reader: str = "postgres-replica") -> dict[str, Observation]:
    return {o.metric: o for o in derive(files) if o.labels.get("reader") == reader}


def test_clean_reads(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    found = of_reader(files)
    assert set(found) == set(METRICS_OF_A_READER)
    assert all(not o.inconclusive for o in found.values())
    assert found["drill.reads_failed"].values == found["drill.read_staleness"].values == (0.0,)
    assert 0.09 < found["drill.read_gap"].values[0] < 0.31
    assert found["drill.read_gap"].labels == {
        "drill": "postgres-kill-primary", "reader": "postgres-replica", "through": "postgres",
    }  # fmt: skip
    assert "drill.read_staleness" not in of_reader(files, "api-search")
    assert not of_reader(files, "redis-primary")


@pytest.mark.parametrize("failed", [1, 7])
def test_planted_failures_are_counted(tmp_path: Path, failed: int) -> None:
    assert of_reader(files_of(tmp_path, failed=failed))["drill.reads_failed"].values == (float(failed),)


def test_a_planted_gap_is_measured(tmp_path: Path) -> None:
    found = of_reader(files_of(tmp_path, gap_ms=2000), "api-search")
    assert 1.99 < found["drill.read_gap"].values[0] < 2.5
    assert found["drill.reads_failed"].values == (10.0,)


def test_a_planted_stale_read_is_seen(tmp_path: Path) -> None:
    found = of_reader(files_of(tmp_path, stale_ms=1000))
    assert 0.9 < found["drill.read_staleness"].values[0] < 1.1


def test_reads_that_never_come_back_are_a_conclusive_breach(tmp_path: Path) -> None:
    plan = TrialPlan(bystanders=("app",), steady_after=False)
    found = of_reader(files_of(tmp_path, plan, gap_ms=60_000))
    assert (found["drill.read_gap"].values, found["drill.read_gap"].inconclusive) == ((math.inf,), "")
    assert found["drill.reads_failed"].values[0] > 0
    assert found["drill.reads_failed"].inconclusive == ""


@pytest.mark.parametrize(
    ("plan", "unresolved"),
    [
        (TrialPlan(bystanders=("app",), proved=False), False),
        (TrialPlan(bystanders=("app",), steady_before=False), False),
        (TrialPlan(bystanders=("app",), steady_after=False), True),
    ],
)
def test_a_trial_that_must_not_count(tmp_path: Path, plan: TrialPlan, unresolved: bool) -> None:
    found = of_reader(files_of(tmp_path, plan))
    assert all(o.inconclusive and o.unresolved == unresolved for o in found.values())
    assert ("drill.read_gap" in found) == plan.steady_before


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("postgres-replica.reads.jsonl", None, "postgres-replica.reads.jsonl: missing"),
        ("postgres-replica.reads.jsonl", lambda _: b"", "holds no read"),
        ("postgres-replica.reads.jsonl", lambda b: b"x" + b, "line 1: not a read"),
        ("postgres.ledger.jsonl", None, "the ledger of postgres, which postgres-"),
        ("trial.json", None, "trial.json: missing"),
    ],
)
def test_damage_is_unresolved(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes] | None, complaint: str
) -> None:
    files = files_of(tmp_path)
    content = files.pop(f"{RUN}/{name}")
    if change:
        files[f"{RUN}/{name}"] = change(content)
    reads = [o for o in derive(files) if o.metric in METRICS_OF_A_READER and o.inconclusive]
    assert {o.metric for o in reads} == set(METRICS_OF_A_READER)
    assert all(complaint in o.inconclusive and o.unresolved and not o.values for o in reads)


def test_a_trial_that_could_not_be_tried_says_so_of_its_reads(tmp_path: Path) -> None:
    files = files_of(tmp_path)
    record = msgspec.json.decode(files[f"{RUN}/trial.json"])
    files[f"{RUN}/trial.json"] = msgspec.json.encode(record | {"not_applicable": "one node only", "readers": []})
    reads = [o for o in derive(files) if o.metric in METRICS_OF_A_READER]
    assert {o.not_applicable for o in reads} == {"one node only"}
    assert {o.labels["through"] for o in reads} == {"api", "postgres", "redis"}


def test_a_control_counts_for_nothing_but_itself(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_control(evidence, lost=40)
    (found,) = derive(evidence.files())
    assert (found.metric, found.values, found.inconclusive) == ("control.lost", (40.0,), "")


@pytest.mark.parametrize(("drill", "control"), [("control-x", ""), ("redis-x", "made to lose")])
def test_what_is_a_control_is_called_one(tmp_path: Path, drill: str, control: str) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_control(evidence)
    record = msgspec.json.decode(evidence.files()["drills/control-redis-asynchronous/1/trial.json"])
    files = {f"drills/{drill}/1/trial.json": msgspec.json.encode(record | {"drill": drill, "control": control})}
    found = derive(files)
    assert all(o.unresolved and "a control is called" in o.inconclusive for o in found)
    assert {o.metric for o in found} == {"control.lost"} if drill.startswith("control") else len(found) > 3


def test_every_reader_has_its_writer() -> None:
    assert {reader.writer for reader in READERS} == {"postgres", "redis", "app", ""}
