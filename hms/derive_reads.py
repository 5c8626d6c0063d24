"""What a trial's readers contribute: the read gap, the reads that failed, how stale the answers were. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hms.errors import EvidenceError
from hms.evidence import Reader, Trial
from hms.ledger import Gap, Write
from hms.reads import Read, read_gap, read_reads, since, staleness_seconds
from hms.verdict import Observation

METRICS_OF_A_READER = ("drill.read_gap", "drill.reads_failed", "drill.read_staleness")

# Reads must have been answered when the fault struck: one within this span before it.
FLOWING_BEFORE_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class ReaderTrial:
    """One reader in one trial. `harmed` are the reads that ended after the fault; `stale` how stale each of them was.

    `gap` is None where no fault was injected.
    """

    reader: Reader
    reads: tuple[Read, ...]
    harmed: tuple[Read, ...]
    stale: tuple[float, ...]
    gap: Gap | None

    @property
    def failed(self) -> int:
        """How many reads failed from the fault on."""
        return sum(not read.ok for read in self.harmed)

    @property
    def again(self) -> int:
        """How many were answered well, and not on the first attempt."""
        return sum(read.ok and read.attempts > 1 for read in self.harmed)

    @property
    def cached(self) -> int:
        """How many good answers came from a cache."""
        return sum(read.ok and read.detail == "cache" for read in self.harmed)


def read_reader(
    contents: Mapping[str, bytes], reader: Reader, trial: Trial, ledgers: Mapping[str, tuple[Write, ...]], *, run: str
) -> ReaderTrial:
    """Return what a reader met; `EvidenceError` names the file that is missing or damaged."""
    name = f"{reader.name}.reads.jsonl"
    if name not in contents:
        raise EvidenceError(f"{run}/{name}: missing")
    reads = read_reads(contents[name], source=f"{run}/{name}")
    if not reads:
        raise EvidenceError(f"{run}/{name}: holds no read")
    if reader.writer and reader.writer not in ledgers:
        raise EvidenceError(
            f"{run}: the ledger of {reader.writer}, which {reader.name} is held against, cannot be read"
        )
    fault_ns = trial.fault.at_ns - trial.fault.clock_uncertainty_ns
    harmed = since(reads, fault_ns=fault_ns)
    return ReaderTrial(
        reader=reader,
        reads=reads,
        harmed=harmed,
        stale=staleness_seconds(harmed, ledgers[reader.writer]) if reader.writer else (),
        gap=read_gap(reads, fault_ns=fault_ns) if trial.steady_before.ok else None,
    )


def labels_of(drill: str, reader: str) -> dict[str, str]:
    """Return the labels of a reader's observations; `through` is its name up to the first dash."""
    return {"drill": drill, "reader": reader, "through": reader.split("-", maxsplit=1)[0]}


def reader_observations(
    contents: Mapping[str, bytes], trial: Trial, ledgers: Mapping[str, tuple[Write, ...]], *, run: str
) -> list[Observation]:
    """Return what all readers of a trial contribute; damage makes a reader's own contribution unresolved.

    As with write gaps, a gap that never ended counts even if the stack was never steady again, and so do failed reads:
    that is the breach. What was set aside before its outcome was known is inconclusive.
    """
    found: list[Observation] = []
    for reader in trial.readers:
        labels = labels_of(trial.drill, reader.name)
        try:
            held = read_reader(contents, reader, trial, ledgers, run=run)
        except EvidenceError as error:
            found += [
                Observation(metric=metric, labels=labels, run=run, inconclusive=str(error), unresolved=True)
                for metric in METRICS_OF_A_READER
            ]
            continue
        found += _observations(trial, held, labels, run=run)
    return found


def _observations(trial: Trial, held: ReaderTrial, labels: dict[str, str], *, run: str) -> list[Observation]:
    before = _doubt_before(trial, held)
    values: dict[str, tuple[float, ...]] = {"drill.reads_failed": (float(held.failed),)}
    if held.gap is not None:
        values["drill.read_gap"] = (held.gap.seconds if held.gap.ended else math.inf,)
    if held.stale:
        values["drill.read_staleness"] = (max(held.stale),)
    found = []
    for metric, value in values.items():
        doubt, unresolved = before, False
        breach = (metric == "drill.reads_failed" and value[0] > 0) or value[0] == math.inf
        if not doubt and not trial.steady_after.ok and not breach:
            doubt, unresolved = f"no steady state after the fault: {trial.steady_after.detail}", True
        found.append(
            Observation(
                metric=metric, labels=labels, run=run, values=value, inconclusive=doubt, unresolved=unresolved
            )
        )  # fmt: skip
    return found


def _doubt_before(trial: Trial, held: ReaderTrial) -> str:
    if not trial.steady_before.ok:
        return f"no steady state before the fault: {trial.steady_before.detail}"
    if not trial.fault.proved:
        return f"the fault was not proved: {trial.fault.proof}"
    start_ns = trial.fault.at_ns - trial.fault.clock_uncertainty_ns
    if not any(read.ok and start_ns - FLOWING_BEFORE_NS <= read.done_ns <= start_ns for read in held.reads):
        return "no read was answered in the two seconds before the fault"
    return ""
