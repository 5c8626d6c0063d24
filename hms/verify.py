"""`hms verify`: evidence must say what it said when it was sealed, and its verdicts follow from it."""

import hashlib
from dataclasses import dataclass

import msgspec

from hms.errors import EvidenceError, UsageError
from hms.evidence import Environment, Manifest, Run, Step
from hms.evidence_directory import MANIFEST, EvidenceDirectory, encode_record, manifest_of
from hms.inventory import decode_inventory
from hms.judgement import VERDICTS, Judgement, expect_recorded_verdicts, judgement_of
from hms.statistics import decode_histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What was recomputed and found equal. `manifest_sha256` stands for the whole evidence: note it elsewhere."""

    files: int
    observations: int
    verdicts: int
    manifest_sha256: str


def verify(evidence: EvidenceDirectory) -> Verification:
    """Recompute every digest, every figure and every verdict of sealed evidence.

    Raises `EvidenceError` with the first difference: a file that is changed, missing or added, a manifest that is not
    byte for byte the one that these files give, a record that cannot be read, a figure or verdict that does not follow.
    What it cannot notice is evidence forged as a whole, digests included: compare `manifest_sha256` with the one that
    was printed when the run ended.
    """
    if not evidence.path.is_dir():
        raise UsageError(f"{evidence.path}: no such directory", remedy="Name a directory that a run of hms left.")
    if not evidence.sealed:
        raise EvidenceError(
            f"{evidence.path}: has no {MANIFEST}, so it was never sealed or was cut off",
            remedy="A run seals its evidence when it ends; this one has not. `hms judge` judges it as it is.",
        )
    files = evidence.files()
    _verify_digests(evidence, files)
    _verify_records(evidence, files)
    judgement = judgement_of(evidence)
    _verify_histograms(judgement)
    expect_recorded_verdicts(evidence, judgement)
    return Verification(
        files=len(files),
        observations=len(judgement.observations),
        verdicts=len(judgement.verdicts) if VERDICTS in files else 0,
        manifest_sha256=hashlib.sha256((evidence.path / MANIFEST).read_bytes()).hexdigest(),
    )


def _verify_digests(evidence: EvidenceDirectory, files: dict[str, bytes]) -> None:
    promised = evidence.read(MANIFEST, Manifest).sha256
    found = manifest_of(files)
    for name in sorted(promised.keys() | found.sha256.keys()):
        if name not in found.sha256:
            raise EvidenceError(f"{evidence.path / name}: missing, though the manifest has it")
        if name not in promised:
            raise EvidenceError(f"{evidence.path / name}: not in the manifest, so it was added later")
        if promised[name] != found.sha256[name]:
            raise EvidenceError(
                f"{evidence.path / name}: its SHA-256 is {found.sha256[name]}, the manifest says {promised[name]}"
            )
    if (evidence.path / MANIFEST).read_bytes() != encode_record(found):
        raise EvidenceError(f"{evidence.path / MANIFEST}: not byte for byte the manifest that these files give")


def _verify_records(evidence: EvidenceDirectory, files: dict[str, bytes]) -> None:
    """Read the records that no observation is derived from; the others are read when they are derived."""
    if "run.json" in files:
        evidence.read("run.json", Run)
    if "environment.json" in files:
        evidence.read("environment.json", Environment)
    if "inventory.json" in files:
        decode_inventory(files["inventory.json"], source=str(evidence.path / "inventory.json"))
    for number, line in enumerate(files.get("steps.jsonl", b"").splitlines(), start=1):
        try:
            msgspec.json.decode(line, type=Step)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EvidenceError(f"{evidence.path / 'steps.jsonl'}, line {number}: not a Step: {error}") from error


def _verify_histograms(judgement: Judgement) -> None:
    for observation in judgement.observations:
        if observation.histogram:
            decode_histogram(observation.histogram, scale=observation.histogram_scale)
