"""Evidence is what it was when it was sealed, to the byte; and its verdicts follow from it."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hms.errors import EvidenceError, UsageError
from hms.evidence_directory import MANIFEST, EvidenceDirectory, encode_record, manifest_of
from hms.judgement import CLAIMS, VERDICTS, judge_directory, judgement_of
from hms.verdict import Verdicts
from hms.verify import verify
from tests.hms.evidence_samples import TrialPlan, write_trial
from tests.hms.run_sample import CLAIM_COUNT, sample_evidence


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> EvidenceDirectory:
    return sample_evidence(tmp_path_factory.mktemp("evidence") / "run")


@pytest.fixture
def copied(sealed: EvidenceDirectory, tmp_path: Path) -> EvidenceDirectory:
    return EvidenceDirectory(Path(shutil.copytree(sealed.path, tmp_path / "run")))


def reseal(evidence: EvidenceDirectory) -> None:
    (evidence.path / MANIFEST).unlink()
    evidence.seal()


def test_evidence_as_it_was_sealed(sealed: EvidenceDirectory) -> None:
    found = verify(sealed)
    assert found.files == len(sealed.files())
    assert found.verdicts == len(judgement_of(sealed).verdicts)
    assert found.manifest_sha256 == hashlib.sha256((sealed.path / MANIFEST).read_bytes()).hexdigest()


def test_the_same_evidence_gives_the_same_bytes(sealed: EvidenceDirectory, tmp_path: Path) -> None:
    again = sample_evidence(tmp_path / "again")
    assert again.files() == sealed.files()
    assert encode_record(Verdicts(verdicts=judgement_of(sealed).verdicts)) == sealed.files()[VERDICTS]


def test_a_flipped_bit_is_noticed_in_every_file(copied: EvidenceDirectory) -> None:
    for path in sorted(p for p in copied.path.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for position, bit in {0: 1, len(whole) // 3: 32, len(whole) - 1: 1}.items():
            damaged = bytearray(whole)
            damaged[position] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(EvidenceError) as caught:
                verify(copied)
            assert path.name == MANIFEST or str(path) in caught.value.message
        path.write_bytes(whole)
    verify(copied)


def test_every_bit_of_the_manifest_counts(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    evidence.write("run.json", msgspec.json.decode(sample_run()))
    evidence.seal()
    manifest = tmp_path / MANIFEST
    whole = manifest.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            manifest.write_bytes(damaged)
            with pytest.raises(EvidenceError):
                verify(evidence)


def sample_run() -> bytes:
    return b'{"schema":1,"id":"r","kind":"load","stack":"ci","started_at":"","version":"0","commit":""}'


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda path: (path / "steps.jsonl").unlink(), r"steps\.jsonl: missing, though the manifest has it"),
        (lambda path: (path / "more.json").write_text("{}"), r"more\.json: not in the manifest, so it was added later"),
        (lambda path: (path / "run.json").rename(path / "ran.json"), r"ran\.json: not in the manifest"),
        (lambda path: shutil.rmtree(path / "drills/redis-kill-primary/2"), "redis-kill-primary/2/.*: missing"),
        (lambda path: (path / MANIFEST).unlink(), "never sealed"),
    ],
)
def test_a_file_that_comes_or_goes_is_noticed(
    copied: EvidenceDirectory, change: Callable[[Path], object], complaint: str
) -> None:
    change(copied.path)
    with pytest.raises(EvidenceError, match=complaint):
        verify(copied)


def test_a_verdict_that_does_not_follow_is_named(copied: EvidenceDirectory) -> None:
    verdicts = msgspec.json.decode(copied.files()[VERDICTS], type=Verdicts).verdicts
    better = tuple(
        msgspec.structs.replace(v, figure=0.1) if v.claim == "redis-kill-primary-write-gap" else v for v in verdicts
    )
    (copied.path / VERDICTS).write_bytes(encode_record(Verdicts(verdicts=better)))
    reseal(copied)
    with pytest.raises(
        EvidenceError, match=r"claim 'redis-kill-primary-write-gap': figure is recorded as 0\.1, recomputed"
    ):
        verify(copied)


def test_verdicts_left_out_are_noticed(copied: EvidenceDirectory) -> None:
    verdicts = msgspec.json.decode(copied.files()[VERDICTS], type=Verdicts).verdicts
    (copied.path / VERDICTS).write_bytes(encode_record(Verdicts(verdicts=verdicts[:-1])))
    reseal(copied)
    with pytest.raises(EvidenceError, match=f"{CLAIM_COUNT - 1} verdicts are recorded, {CLAIM_COUNT} recomputed"):
        verify(copied)


def test_verdicts_in_other_bytes_are_noticed(copied: EvidenceDirectory) -> None:
    (copied.path / VERDICTS).write_bytes(copied.files()[VERDICTS] + b"\n")
    reseal(copied)
    with pytest.raises(EvidenceError, match="the verdicts agree, but the file's bytes"):
        verify(copied)


def test_a_ledger_changed_and_sealed_again_is_noticed_by_its_verdicts(copied: EvidenceDirectory) -> None:
    name = "drills/postgres-kill-primary/1/postgres.present.postgres-1.jsonl"
    lines = (copied.path / name).read_bytes().splitlines(keepends=True)
    acknowledged = next(line for line in lines if b'drill:1:1"' in line)
    (copied.path / name).write_bytes(b"".join(line for line in lines if line != acknowledged))
    reseal(copied)
    with pytest.raises(
        EvidenceError, match="claim 'postgres-lost': outcome is recorded as 'PASSED', recomputed as 'FAILED'"
    ):
        verify(copied)


def test_damaged_evidence_is_inconclusive_for_the_claims_that_it_touches(copied: EvidenceDirectory) -> None:
    name = "drills/postgres-kill-primary/1/postgres.ledger.jsonl"
    (copied.path / name).write_bytes((copied.path / name).read_bytes()[:-40])
    judgement = judgement_of(copied)
    assert judgement.damaged == (name,)
    outcomes = {verdict.claim: verdict.outcome for verdict in judgement.verdicts}
    assert {claim for claim, outcome in outcomes.items() if outcome == "INCONCLUSIVE"} == {
        "app-lost", "postgres-duplicated", "postgres-kill-primary-write-gap", "postgres-lost",
        "postgres-lost-on-replica", "postgres-resurrected", "postgres-reads-fresh", "api-reads-failed", "api-read-gap",
    }  # fmt: skip
    with pytest.raises(EvidenceError, match="outcome is recorded as 'PASSED', recomputed as 'INCONCLUSIVE'"):
        judge_directory(copied)


def test_a_step_that_is_none_is_noticed(copied: EvidenceDirectory) -> None:
    with (copied.path / "steps.jsonl").open("ab") as file:
        file.write(b'{"name":1}\n')
    reseal(copied)
    with pytest.raises(EvidenceError, match=r"steps\.jsonl, line 4: not a Step"):
        verify(copied)


def test_evidence_that_was_never_judged_can_be_verified(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_trial(evidence, TrialPlan())
    evidence.seal()
    assert verify(evidence).verdicts == 0


def test_judging_unsealed_evidence_keeps_claims_and_verdicts_once(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_trial(evidence, TrialPlan())
    verdicts = judge_directory(evidence)
    assert {CLAIMS, VERDICTS} <= evidence.files().keys()
    assert judge_directory(evidence) == verdicts
    write_trial(evidence, TrialPlan(number=2, lost=1))
    with pytest.raises(EvidenceError, match="is recorded as"):
        judge_directory(evidence)


def test_sealed_evidence_takes_nothing_more(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path)
    write_trial(evidence, TrialPlan())
    evidence.seal()
    before = evidence.files()
    judge_directory(evidence)
    assert evidence.files() == before
    with pytest.raises(EvidenceError, match="sealed; late cannot be added"):
        evidence.write("late", 1)


@pytest.mark.parametrize("operation", [verify, judgement_of])
def test_what_is_no_evidence(tmp_path: Path, operation: Callable[[EvidenceDirectory], object]) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        operation(EvidenceDirectory(tmp_path / "none"))


def test_an_empty_directory_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty, so no evidence"):
        judgement_of(EvidenceDirectory(tmp_path))


def test_the_manifest_does_not_depend_on_the_order_of_files() -> None:
    assert encode_record(manifest_of({"a": b"1", "b": b"2"})) == encode_record(manifest_of({"b": b"2", "a": b"1"}))
