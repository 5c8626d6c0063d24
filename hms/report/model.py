"""What the report shows, drawn from evidence and its judgement. Pure: bytes and records in, records out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from hms.claim import Claim
from hms.derive_drill import WriterTrial, gap_start_ns, read_trial, read_writer, readable_ledgers
from hms.derive_reads import ReaderTrial, read_reader
from hms.errors import EvidenceError
from hms.evidence import Check, Environment, LoadRun, Resource, Run, Step, Trial
from hms.inventory import Inventory
from hms.judge import concerns, values_of
from hms.judgement import Judgement
from hms.ledger import Gap, write_gap
from hms.phases import Phase, phases
from hms.verdict import Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValue:
    """What one run shows on a claim; `doubt` says why it did not count, infinity is a value without end."""

    run: str
    value: float
    doubt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedClaim:
    """A claim, its verdict, and what each run shows on it."""

    claim: Claim
    verdict: Verdict
    values: tuple[RunValue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterView:
    """One writer in one trial; no gap where no fault was injected, for want of a steady state before it."""

    held: WriterTrial
    gap: Gap | None

    @property
    def name(self) -> str:
        """Return the writer's name."""
        return self.held.writer.name

    @property
    def gap_seconds(self) -> float | None:
        """Return the write gap, infinite if it had not ended."""
        if self.gap is None:
            return None
        return self.gap.seconds if self.gap.ended else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderView:
    """One reader in one trial."""

    held: ReaderTrial

    @property
    def name(self) -> str:
        """Return the reader's name."""
        return self.held.reader.name

    @property
    def gap_seconds(self) -> float | None:
        """Return the read gap, infinite if it had not ended; None where no fault was injected."""
        gap = self.held.gap
        return None if gap is None else gap.seconds if gap.ended else math.inf

    @property
    def stale(self) -> int:
        """Return how many answers lacked a write that they had to have."""
        return sum(seconds > 0 for seconds in self.held.stale)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """One trial; what could not be read of it is in `damage`, a sentence each."""

    run: str
    trial: Trial | None
    writers: tuple[WriterView, ...]
    damage: tuple[str, ...]
    readers: tuple["ReaderView", ...] = ()
    phases: Mapping[str, tuple[Phase, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the pages show."""

    run: Run | None
    environment: Environment | None
    inventory: Inventory | None
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    claims: tuple[JudgedClaim, ...]
    loads: tuple[tuple[str, LoadRun], ...]
    trials: tuple[TrialView, ...]
    damaged: tuple[str, ...]
    manifest_sha256: str
    file_count: int
    left_out: tuple[str, ...] = ()
    resources: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict)


def report_of(files: Mapping[str, bytes], judgement: Judgement, *, manifest_sha256: str) -> Report:
    """Return what the report of these files shows; `manifest_sha256` is empty where they are not sealed.

    Nothing raises for damage: what cannot be read is None, left out, or named in `damage`.
    """
    return Report(
        run=_maybe(files, "run.json", Run),
        environment=_maybe(files, "environment.json", Environment),
        inventory=_maybe(files, "inventory.json", Inventory),
        steps=_lines(files, "steps.jsonl", Step),
        checks=_lines(files, "smoke/checks.jsonl", Check),
        claims=tuple(_judged(claim, judgement) for claim in sorted(judgement.catalogue.claims, key=lambda c: c.id)),
        loads=_loads(files),
        trials=_trials(files),
        damaged=judgement.damaged,
        manifest_sha256=manifest_sha256,
        file_count=len(files),
        left_out=judgement.catalogue.left_out,
        resources={
            name.removesuffix("/resources.jsonl"): _lines(files, name, Resource)
            for name in files
            if name.startswith("load/") and name.endswith("/resources.jsonl")
        },
    )


def _judged(claim: Claim, judgement: Judgement) -> JudgedClaim:
    verdict = next(verdict for verdict in judgement.verdicts if verdict.claim == claim.id)
    values = tuple(
        RunValue(run=observation.run, value=value, doubt=observation.inconclusive)
        for observation in judgement.observations
        if concerns(claim, observation) and not claim.faults_per_month  # its figure is of many drills, no run's
        for value in values_of(claim, observation)
    )
    return JudgedClaim(claim=claim, verdict=verdict, values=values)


def _maybe(files: Mapping[str, bytes], name: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(files[name], type=kind)
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _lines(files: Mapping[str, bytes], name: str, kind: type[T]) -> tuple[T, ...]:
    found: list[T] = []
    for line in files.get(name, b"").splitlines():
        try:
            found.append(msgspec.json.decode(line, type=kind))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return tuple(found)


def _loads(files: Mapping[str, bytes]) -> tuple[tuple[str, LoadRun], ...]:
    found = []
    for name in sorted(files, key=_natural):
        if name.startswith("load/") and name.endswith("/load.json"):
            load = _maybe(files, name, LoadRun)
            if load is not None:
                found.append((name.removesuffix("/load.json"), load))
    return tuple(found)


def _trials(files: Mapping[str, bytes]) -> tuple[TrialView, ...]:
    runs = {name.rsplit("/", 1)[0] for name in files if name.startswith("drills/") and name.count("/") == 3}
    return tuple(_trial(files, run) for run in sorted(runs, key=_natural))


def _natural(path: str) -> tuple[tuple[int, str], ...]:
    """Order run 10 after run 9."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in path.split("/"))


def _trial(files: Mapping[str, bytes], run: str) -> TrialView:
    contents = {name.removeprefix(f"{run}/"): content for name, content in files.items() if name.startswith(f"{run}/")}
    try:
        trial = read_trial(contents, run=run, drill=run.split("/")[1])
    except EvidenceError as error:
        return TrialView(run=run, trial=None, writers=(), damage=(str(error),))
    writers: list[WriterView] = []
    damage: list[str] = []
    for writer in () if trial.not_applicable else trial.writers:
        try:
            held = read_writer(contents, writer, run=run)
        except EvidenceError as error:
            damage.append(str(error))
            continue
        gap = write_gap(held.writes, fault_ns=gap_start_ns(trial)) if trial.steady_before.ok else None
        writers.append(WriterView(held=held, gap=gap))
    ledgers = readable_ledgers(contents, trial, run=run)
    readers: list[ReaderView] = []
    for reader in () if trial.not_applicable else trial.readers:
        try:
            readers.append(ReaderView(held=read_reader(contents, reader, trial, ledgers, run=run)))
        except EvidenceError as error:
            damage.append(str(error))
    return TrialView(
        run=run, trial=trial, writers=tuple(writers), damage=tuple(damage), readers=tuple(readers),
        phases=phases(trial, ledgers),
    )  # fmt: skip
