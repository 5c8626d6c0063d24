"""What a trial of a drill contributes: by writer its gap and the reckoning, by reader its reads, by engine its phases.

Pure. A control, in which writes were made to be lost, contributes what was lost in it and nothing else.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from hms.derive_reads import METRICS_OF_A_READER, reader_observations
from hms.errors import EvidenceError
from hms.evidence import Present, Trial, Writer
from hms.ledger import Reckoning, Write, read_ledger, reckon, write_gap
from hms.phases import ENGINES, phases, promotions
from hms.verdict import Observation

RECKONED = ("drill.lost", "drill.duplicated", "drill.resurrected", "drill.lost_on_replica")
PROMOTIONS = "drill.promotions"
PROMOTIONS_WHILE_BROKEN = "drill.promotions_while_broken"
METRICS_OF_A_TRIAL = ("drill.write_gap", *RECKONED)
KNOWN_WRITERS = ("app", "postgres", "postgres-stubborn", "redis")
KNOWN_THROUGH = ("api", "postgres", "redis")
CONTROL = "control-"
"""How the name of a control begins."""

# Writes must have been flowing when the fault struck: one acknowledged within this span before it.
FLOWING_BEFORE_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class WriterTrial:
    """One writer in one trial: its ledger, and the reckoning against each node that could be read."""

    writer: Writer
    writes: tuple[Write, ...]
    reckonings: dict[str, Reckoning]


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Why a writer's trial must not count; `unresolved` as in `Observation`."""

    reason: str = ""
    unresolved: bool = False


def trial_observations(contents: Mapping[str, bytes], *, run: str, drill: str, damage: str) -> list[Observation]:
    """Return what the trial in `run` (`drills/<drill>/<n>`) contributes.

    A trial that cannot be read contributes for every writer that left a file, or for all known ones if none did.
    """
    try:
        if damage:
            raise EvidenceError(damage)
        trial = read_trial(contents, run=run, drill=drill)
    except EvidenceError as error:
        seen = sorted({name.split(".")[0] for name in contents if name.split(".")[0] in KNOWN_WRITERS})
        doubt = _Doubt(str(error), unresolved=True)
        metrics = ("control.lost",) if drill.startswith(CONTROL) else METRICS_OF_A_TRIAL
        found = [o for name in seen or KNOWN_WRITERS for o in _doubtful(metrics, run, drill, name, doubt)]
        if drill.startswith(CONTROL):
            return found
        return found + [
            Observation(metric=metric, labels={"drill": drill}, run=run, inconclusive=str(error), unresolved=True)
            for metric in (*METRICS_OF_A_READER, PROMOTIONS)
        ]
    if trial.not_applicable:
        return _not_applicable(trial, run=run)
    found = [o for writer in trial.writers for o in _writer_observations(contents, trial, writer, run=run)]
    if trial.control:
        return [msgspec.structs.replace(o, metric="control.lost") for o in found if o.metric == "drill.lost"]
    ledgers = readable_ledgers(contents, trial, run=run)
    return [
        *found,
        *reader_observations(contents, trial, ledgers, run=run),
        *_promotion_observations(trial, run=run),
        *_phase_observations(trial, ledgers, run=run),
    ]


def _not_applicable(trial: Trial, *, run: str) -> list[Observation]:
    why = trial.not_applicable
    names = [writer.name for writer in trial.writers] or KNOWN_WRITERS
    written = [(metric, {"writer": name}) for name in names for metric in METRICS_OF_A_TRIAL]
    read = [(metric, {"through": through}) for through in KNOWN_THROUGH for metric in METRICS_OF_A_READER]
    promoted = [(PROMOTIONS, {"engine": engine}) for engine in ENGINES]
    return [
        Observation(metric=metric, labels={"drill": trial.drill, **labels}, run=run, not_applicable=why)
        for metric, labels in (*written, *read, *promoted)
    ]


def readable_ledgers(contents: Mapping[str, bytes], trial: Trial, *, run: str) -> dict[str, tuple[Write, ...]]:
    """Return the ledgers of a trial by writer; one that cannot be read is left out, its writer says why elsewhere."""
    found: dict[str, tuple[Write, ...]] = {}
    for writer in trial.writers:
        try:
            found[writer.name] = _writes(contents, writer, run=run)
        except EvidenceError:
            continue
    return found


def _promotion_observations(trial: Trial, *, run: str) -> list[Observation]:
    """Return how often each engine got a new primary; a promotion that was seen counts also where doubt remains."""
    doubt, unresolved = "", False
    if not trial.steady_before.ok:
        doubt = f"no steady state before the fault: {trial.steady_before.detail}"
    elif not trial.fault.proved:
        doubt = f"the fault was not proved: {trial.fault.proof}"
    elif not trial.steady_after.ok:
        doubt, unresolved = f"no steady state after the fault: {trial.steady_after.detail}", True
    return [
        Observation(
            metric=metric, labels={"drill": trial.drill, "engine": engine}, run=run,
            values=(float(promotions(trial, engine, while_broken=metric == PROMOTIONS_WHILE_BROKEN)),),
            inconclusive=doubt, unresolved=unresolved,
        )
        for metric in (PROMOTIONS, PROMOTIONS_WHILE_BROKEN)
        for engine in ENGINES
    ]  # fmt: skip


def _phase_observations(trial: Trial, ledgers: Mapping[str, tuple[Write, ...]], *, run: str) -> list[Observation]:
    """Return how long after the fault each engine reached each phase; those that nobody saw are not there."""
    doubt = "" if trial.fault.proved else f"the fault was not proved: {trial.fault.proof}"
    return [
        Observation(
            metric=f"drill.phase.{phase.name}", labels={"drill": trial.drill, "engine": engine}, run=run,
            values=(phase.seconds,), inconclusive=doubt,
        )
        for engine, found in phases(trial, ledgers).items()
        for phase in found
    ]  # fmt: skip


def read_trial(contents: Mapping[str, bytes], *, run: str, drill: str) -> Trial:
    """Return the trial's record; `EvidenceError` if it is missing, damaged, another drill's, or has no writer."""
    try:
        trial = msgspec.json.decode(contents["trial.json"], type=Trial)
    except KeyError:
        raise EvidenceError(f"{run}/trial.json: missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{run}/trial.json: not a Trial: {error}") from error
    if trial.drill != drill:
        raise EvidenceError(f"{run}/trial.json: it is of drill {trial.drill!r}")
    if bool(trial.control) != drill.startswith(CONTROL):
        raise EvidenceError(f"{run}/trial.json: a control is called {CONTROL}..., and nothing else is")
    if not trial.writers and not trial.not_applicable:
        raise EvidenceError(f"{run}/trial.json: no writer took part")
    return trial


def read_writer(contents: Mapping[str, bytes], writer: Writer, *, run: str) -> WriterTrial:
    """Return a writer's ledger and reckonings; `EvidenceError` names the file that is missing or damaged."""
    writes = _writes(contents, writer, run=run)
    nodes = dict.fromkeys((writer.authoritative, *writer.nodes))
    reckonings = {node: reckon(writes, _present(contents, writer, node, run=run)) for node in nodes}
    return WriterTrial(writer=writer, writes=writes, reckonings=reckonings)


def _writes(contents: Mapping[str, bytes], writer: Writer, *, run: str) -> tuple[Write, ...]:
    name = f"{writer.name}.ledger.jsonl"
    if name not in contents:
        raise EvidenceError(f"{run}/{name}: missing")
    writes = read_ledger(contents[name], source=f"{run}/{name}")
    if not writes:
        raise EvidenceError(f"{run}/{name}: holds no write")
    return writes


def _present(contents: Mapping[str, bytes], writer: Writer, node: str, *, run: str) -> dict[str, int]:
    name = f"{writer.name}.present.{node}.jsonl"
    if name not in contents:
        raise EvidenceError(f"{run}/{name}: missing")
    try:
        entries = [msgspec.json.decode(line, type=Present) for line in contents[name].splitlines()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{run}/{name}: cannot be read: {error}") from error
    present = {entry.key: entry.count for entry in entries}
    if len(present) != len(entries) or any(count < 1 for count in present.values()):
        raise EvidenceError(f"{run}/{name}: a key comes twice or is there less than once")
    return present


def gap_start_ns(trial: Trial) -> int:
    """Return the earliest moment at which the fault can have struck, on the writer's clock."""
    return trial.fault.at_ns - trial.fault.clock_uncertainty_ns


def _writer_observations(contents: Mapping[str, bytes], trial: Trial, writer: Writer, *, run: str) -> list[Observation]:
    try:
        writes = _writes(contents, writer, run=run)
    except EvidenceError as error:
        doubt = _Doubt(str(error), unresolved=True)
        return _doubtful(METRICS_OF_A_TRIAL, run, trial.drill, writer.name, doubt)
    before = _doubt_before(trial, writes)
    gap = [_gap_observation(trial, writer, writes, before, run=run)]
    try:
        held = read_writer(contents, writer, run=run)
    except EvidenceError as error:
        return gap + _doubtful(RECKONED, run, trial.drill, writer.name, _Doubt(str(error), unresolved=True))
    doubt = before if before.reason else _doubt_after(trial, held)
    labels = {"drill": trial.drill, "writer": writer.name}
    return gap + [
        Observation(
            metric=metric, labels=labels, run=run, values=values,
            inconclusive=doubt.reason, unresolved=doubt.unresolved,
        )
        for metric, values in _reckoned(held).items()
    ]  # fmt: skip


def _reckoned(held: WriterTrial) -> dict[str, tuple[float, ...]]:
    primary = held.reckonings[held.writer.authoritative]
    replicas = [r for node, r in held.reckonings.items() if node != held.writer.authoritative]
    values: dict[str, tuple[float, ...]] = {
        "drill.lost": (float(len(primary.lost)),),
        "drill.duplicated": (float(len(primary.duplicated)),),
        "drill.resurrected": (float(len(primary.resurrected)),),
    }
    if replicas:
        values["drill.lost_on_replica"] = (float(len({key for r in replicas for key in r.lost})),)
    return values


def _gap_observation(
    trial: Trial, writer: Writer, writes: tuple[Write, ...], before: _Doubt, *, run: str
) -> Observation:
    """Return the gap; one that has not ended counts even if the stack was never steady again: that is the breach.

    Without a steady state before it, no fault was injected, and there is no gap to speak of.
    """
    gap = write_gap(writes, fault_ns=gap_start_ns(trial))
    doubt = before
    if not doubt.reason and gap.ended and not trial.steady_after.ok:
        doubt = _Doubt(f"no steady state after the fault: {trial.steady_after.detail}", unresolved=True)
    values = (gap.seconds if gap.ended else math.inf,) if trial.steady_before.ok else ()
    return Observation(
        metric="drill.write_gap", labels={"drill": trial.drill, "writer": writer.name}, run=run,
        values=values, inconclusive=doubt.reason, unresolved=doubt.unresolved,
    )  # fmt: skip


def _doubt_before(trial: Trial, writes: tuple[Write, ...]) -> _Doubt:
    """Doubt whether the trial took place as meant: known before its outcome, so setting it aside favours nobody."""
    if not trial.steady_before.ok:
        return _Doubt(f"no steady state before the fault: {trial.steady_before.detail}")
    if not trial.fault.proved:
        return _Doubt(f"the fault was not proved: {trial.fault.proof}")
    start = gap_start_ns(trial)
    acknowledged = [w.done_ns for w in writes if w.outcome == "acknowledged" and w.done_ns is not None]
    if not any(start - FLOWING_BEFORE_NS <= done <= start for done in acknowledged):
        return _Doubt("no write was acknowledged in the second before the fault")
    if max(w.sent_ns for w in writes) <= trial.fault.at_ns:
        return _Doubt("the ledger ends before the fault", unresolved=True)
    return _Doubt()


def _doubt_after(trial: Trial, held: WriterTrial) -> _Doubt:
    """Doubt whether the reckoning can be trusted; it hides an outcome, so no verdict passes over it."""
    if not trial.steady_after.ok:
        return _Doubt(f"no steady state after the fault: {trial.steady_after.detail}", unresolved=True)
    foreign = held.reckonings[held.writer.authoritative].foreign
    if foreign:
        return _Doubt(
            f"{held.writer.authoritative} has {len(foreign)} keys that the ledger of {held.writer.name} does not know, "
            f"the first is {foreign[0]!r}: the ledger is not whole",
            unresolved=True,
        )
    return _Doubt()


def _doubtful(metrics: tuple[str, ...], run: str, drill: str, writer: str, doubt: _Doubt) -> list[Observation]:
    return [
        Observation(
            metric=metric, labels={"drill": drill, "writer": writer}, run=run,
            inconclusive=doubt.reason, unresolved=doubt.unresolved,
        )
        for metric in metrics
    ]  # fmt: skip
