"""The judging core applied to a directory of evidence: read, let the pure parts decide, keep the result."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from hms.catalogue import default_catalogue_directory, load_catalogue
from hms.claim import Catalogue
from hms.derive import derive
from hms.errors import EvidenceError, UsageError
from hms.evidence import Manifest
from hms.evidence_directory import MANIFEST, EvidenceDirectory, encode_record, manifest_of
from hms.judge import judge
from hms.verdict import Observation, Verdict, Verdicts

CLAIMS = "claims.json"
VERDICTS = "verdicts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What evidence comes to: the claims it was held against, the observations derived from it, the verdicts.

    `damaged` are the paths whose content is not what the manifest says; empty where there is no manifest yet.
    """

    catalogue: Catalogue
    observations: tuple[Observation, ...]
    verdicts: tuple[Verdict, ...]
    damaged: tuple[str, ...]


def judge_directory(evidence: EvidenceDirectory, *, catalogue: Catalogue | None = None) -> tuple[Verdict, ...]:
    """Judge evidence and keep catalogue and verdicts in it; return the verdicts in order of the claims' ids.

    The catalogue is the evidence's own `claims.json`; without one it is `catalogue`, or else the checkout's. In a
    sealed directory nothing is written. Raises `EvidenceError` if verdicts are there already and are other ones.
    """
    judgement = judgement_of(evidence, catalogue=catalogue)
    keep_judgement(evidence, judgement)
    return judgement.verdicts


def keep_judgement(evidence: EvidenceDirectory, judgement: Judgement) -> None:
    """Write catalogue and verdicts where they are not there yet; raise as `judge_directory` does if others are."""
    if not evidence.sealed:
        if not (evidence.path / CLAIMS).exists():
            evidence.write(CLAIMS, judgement.catalogue)
        if not (evidence.path / VERDICTS).exists():
            evidence.write(VERDICTS, Verdicts(verdicts=judgement.verdicts))
    expect_recorded_verdicts(evidence, judgement)


def judgement_of(evidence: EvidenceDirectory, *, catalogue: Catalogue | None = None) -> Judgement:
    """Judge evidence without writing anything; `catalogue` as in `judge_directory`."""
    if not evidence.path.is_dir():
        raise UsageError(f"{evidence.path}: no such directory", remedy="Name a directory that a run of hms left.")
    files = evidence.files()
    if not files:
        raise UsageError(f"{evidence.path}: empty, so no evidence", remedy="Name a directory that a run of hms left.")
    damaged = damaged_files(evidence, files)
    chosen = _catalogue(evidence, files, catalogue)
    observations = derive(files, damaged=damaged)
    return Judgement(
        catalogue=chosen, observations=observations, verdicts=judge(chosen.claims, observations), damaged=damaged
    )


def expect_recorded_verdicts(evidence: EvidenceDirectory, judgement: Judgement) -> None:
    """Raise `EvidenceError` naming the first claim whose recorded verdict is not the recomputed one."""
    if not (evidence.path / VERDICTS).exists():
        return
    recorded = evidence.read(VERDICTS, Verdicts)
    difference = first_difference(recorded.verdicts, judgement.verdicts)
    wanted = encode_record(Verdicts(verdicts=judgement.verdicts))
    if not difference and (evidence.path / VERDICTS).read_bytes() != wanted:
        difference = "the verdicts agree, but the file's bytes are not those that hms writes"
    if difference:
        raise EvidenceError(
            f"{evidence.path / VERDICTS}: {difference}",
            remedy="The evidence was changed after it was judged, or another version of hms judged it. Either way the "
            "recorded verdicts do not follow from it; run `hms verify` for the first changed file.",
        )


def first_difference(recorded: tuple[Verdict, ...], recomputed: tuple[Verdict, ...]) -> str:
    """Return the first difference between two lists of verdicts in words, empty if there is none."""
    for was, now in zip(recorded, recomputed, strict=False):
        if was.claim != now.claim:
            return f"records a verdict on {was.claim!r} where {now.claim!r} is judged"
        for field in msgspec.structs.fields(Verdict):
            old, new = getattr(was, field.name), getattr(now, field.name)
            if old != new:
                return f"claim {was.claim!r}: {field.name} is recorded as {old!r}, recomputed as {new!r}"
    if len(recorded) != len(recomputed):
        return f"{len(recorded)} verdicts are recorded, {len(recomputed)} recomputed"
    return ""


def damaged_files(evidence: EvidenceDirectory, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the paths that the manifest knows otherwise, or not at all, or that are missing; sorted."""
    if not evidence.sealed:
        return ()
    promised = evidence.read(MANIFEST, Manifest).sha256
    found = manifest_of(files).sha256
    return tuple(sorted(name for name in promised.keys() | found.keys() if promised.get(name) != found.get(name)))


def _catalogue(evidence: EvidenceDirectory, files: Mapping[str, bytes], given: Catalogue | None) -> Catalogue:
    if CLAIMS not in files:
        return given or load_catalogue(default_catalogue_directory())
    own = evidence.read(CLAIMS, Catalogue)
    if given is not None and given != own:
        raise UsageError(
            f"{evidence.path}: has a catalogue of its own, and another one was given",
            remedy="Judge it by its own claims, or copy the evidence without claims.json and verdicts.json.",
        )
    return own
