"""A run of drills: the lock, what an earlier one left, the pod where it is needed, trial after trial, the evidence."""

import fcntl
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from drills.catalogue import find
from drills.debts import Debts
from drills.faults.fault import Fault
from drills.machines import machines_of
from drills.pod import RATES_PER_SECOND, STUBBORN_RATES_PER_SECOND, DrillPod, make_settings
from drills.routing import Routing
from drills.stage import Stage
from drills.summary import summarise
from drills.trial import TrialRun, not_applicable
from drills.wire import WriterName
from hms.errors import DrillRefusedError, HmsError, UsageError
from hms.evidence import Trial
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.paths import state_home

MOST_TRIALS = 1000
MOST_REPEATS = 2

Progress = Callable[[str], None]


def check_request(names: Sequence[str], *, trials: int, inventory: Inventory) -> tuple[Fault, ...]:
    """Return the drills of these names; refuse what was asked wrongly, and a stack that may not be broken."""
    faults = find(names)
    check_trials(trials)
    if inventory.drills != "allowed":
        raise DrillRefusedError(
            f"stack {inventory.stack}: its configuration forbids drills",
            remedy=f"Where breaking it is meant: `pulumi config set hms:drills allowed --stack {inventory.stack}`.",
        )
    return faults


def check_trials(trials: int) -> None:
    """Refuse a number of trials that makes no sense."""
    if not 1 <= trials <= MOST_TRIALS:
        raise UsageError(f"--trials {trials}: must be from 1 to {MOST_TRIALS}")


def run_drills(
    names: Sequence[str],
    *,
    trials: int,
    inventory: Inventory,
    kubectl: Kubectl,
    evidence: EvidenceDirectory,
    progress: Progress,
) -> None:
    """Run each drill `trials` times, in turns, and leave `drills/<drill>/<n>/` in the evidence.

    Raises `UsageError` for what was asked wrongly, `DrillRefusedError` for a stack that may not be broken, and another
    `HmsError` only where a trial could not be run at all. A bad result is evidence, not an error.
    """
    faults = check_request(names, trials=trials, inventory=inventory)
    turns = (fault for _ in range(trials) for fault in faults)
    run_faults(turns, inventory=inventory, kubectl=kubectl, evidence=evidence, progress=progress)


def run_faults(
    faults: Iterable[Fault],
    *,
    inventory: Inventory,
    kubectl: Kubectl,
    evidence: EvidenceDirectory,
    progress: Progress,
) -> None:
    """Run a trial of each fault, one after the other; contract as `run_drills`, whose checks were made."""
    with alone(kubectl, inventory), Session(kubectl, inventory, progress) as session:
        for fault in faults:
            _run_until_steady(session, fault, evidence, progress)


class Session:
    """What the trials of a run share: the stage, with the drill's pod where the next one wants it.

    Entering it puts right what a drill that was killed left behind; leaving it what this one did.
    """

    def __init__(self, kubectl: Kubectl, inventory: Inventory, progress: Progress) -> None:
        self._kubectl = kubectl.within(inventory.namespace)
        self._inventory = inventory
        self._progress = progress
        self._run = secrets.token_hex(4)
        self._debts = Debts(_place(kubectl, inventory, "owed.json"), self._kubectl)
        self._machines = machines_of(kubectl)
        self._open: tuple[DrillPod, Routing] | None = None

    def __enter__(self) -> Self:
        self._debts.settle(lambda line: self._progress(f"left by an earlier drill: {line}"))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            self._debts.settle(self._progress)
        finally:
            self._close()

    def at(self, fault: Fault) -> tuple[Stage, Routing]:
        """Return the stage for a fault; its pod is moved where it stands in that fault's way."""
        nodes = self._nodes_for(fault)
        rates = {**RATES_PER_SECOND, **(STUBBORN_RATES_PER_SECOND if fault.stubborn else {})}
        if self._open is not None:
            pod = self._open[0]
            if pod.rates_per_second != rates or (nodes and pod.node not in nodes):
                self._close()
        pod, routing = self._open or self._start(nodes, rates)
        return Stage(self._inventory, self._kubectl, pod, self._debts, self._machines), routing

    def _nodes_for(self, fault: Fault) -> tuple[str, ...]:
        """Return the nodes on which the pod may be for this fault; none is any."""
        if fault.place == "anywhere" or self._machines is None:
            return ()
        record = self._kubectl.get("endpoints", self._inventory.postgres.scope)["metadata"].get("annotations", {})
        leader = str(record.get("leader") or "")
        if not leader:
            raise HmsError("Postgres has no leader now", remedy="Is the stack in its steady state?")
        own = str(self._kubectl.get("pod", leader)["spec"]["nodeName"])
        if fault.place == "beside":
            return (own,)
        names = (str(node["metadata"]["name"]) for node in self._kubectl.get("nodes")["items"])
        return tuple(sorted(name for name in names if name != own))

    def _start(self, nodes: tuple[str, ...], rates: dict[WriterName, float]) -> tuple[DrillPod, Routing]:
        settings = make_settings(self._inventory, run=self._run, rates=rates)
        pod = DrillPod(self._kubectl, self._inventory, settings, progress=self._progress, nodes=nodes)
        pod.__enter__()
        self._open = (pod, Routing(self._kubectl, self._inventory.postgres.scope, pod))
        return self._open

    def _close(self) -> None:
        if self._open is not None:
            pod, routing = self._open
            self._open = None
            routing.close()
            pod.close()


def _run_until_steady(session: Session, fault: Fault, evidence: EvidenceDirectory, progress: Progress) -> None:
    """Run one trial, and another in place of one that was void before its fault struck.

    What voids it is known before its outcome, so no outcome is chosen by this; the void ones stay in the evidence.
    """
    for _ in range(1 + MOST_REPEATS):
        trial = _run_trial(session, fault, evidence, progress)
        if trial.steady_before.ok or trial.not_applicable:
            return


def _run_trial(session: Session, drill: Fault, evidence: EvidenceDirectory, progress: Progress) -> Trial:
    number = _next_number(evidence, drill.name)
    fault = drill.of_trial(number)
    folder = f"drills/{fault.name}/{number}"
    stage, routing = session.at(fault)
    reason = fault.not_applicable_because(stage)
    if reason:
        trial = not_applicable(fault, number, reason)
        evidence.write(f"{folder}/trial.json", trial)
        progress(f"{fault.name}-{number}: not applicable: {reason}")
        return trial
    outcome = TrialRun(stage, fault, routing, number=number, progress=progress).run()
    for name, content in sorted(outcome.files.items()):
        evidence.write_bytes(f"{folder}/{name}", content)
    evidence.write(f"{folder}/trial.json", outcome.trial)
    for line in summarise(outcome):
        progress(f"{fault.name}-{number}: {line}")
    return outcome.trial


def _next_number(evidence: EvidenceDirectory, drill: str) -> int:
    """Return the first trial number of a drill that the evidence has no folder for."""
    folder = evidence.path / "drills" / drill
    taken = [int(path.name) for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
    return max(taken, default=0) + 1


@contextmanager
def alone(kubectl: Kubectl, inventory: Inventory) -> Iterator[None]:
    """Hold the lock on drilling this stack from this machine; `UsageError` where another drill has it."""
    path = _place(kubectl, inventory, "lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"stack {inventory.stack}: another drill is running on it", remedy="Wait until it has ended."
            ) from None
        yield


def _place(kubectl: Kubectl, inventory: Inventory, kind: str) -> Path:
    """Return where this machine keeps something about the drills on a stack."""
    return state_home() / "drills" / f"{kubectl.context}.{inventory.namespace}.{kind}"
