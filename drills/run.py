"""A run of drills: the lock, the pod, trial after trial, into the evidence."""

import fcntl
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from drills.catalogue import find
from drills.faults.fault import Fault
from drills.pod import DrillPod, make_settings
from drills.routing import Routing
from drills.stage import Stage
from drills.summary import summarise
from drills.trial import TrialRun
from hms.errors import DrillRefusedError, UsageError
from hms.evidence import Trial
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.paths import state_home

MOST_TRIALS = 1000
MOST_REPEATS = 2

Progress = Callable[[str], None]


def check_request(names: tuple[str, ...], *, trials: int, inventory: Inventory) -> tuple[Fault, ...]:
    """Return the drills of these names; refuse what was asked wrongly, and a stack that may not be broken."""
    faults = find(names)
    if not 1 <= trials <= MOST_TRIALS:
        raise UsageError(f"--trials {trials}: must be from 1 to {MOST_TRIALS}")
    if inventory.drills != "allowed":
        raise DrillRefusedError(
            f"stack {inventory.stack}: its configuration forbids drills",
            remedy=f"Where breaking it is meant: `pulumi config set hms:drills allowed --stack {inventory.stack}`.",
        )
    return faults


def run_drills(
    names: tuple[str, ...],
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
    within = kubectl.within(inventory.namespace)
    settings = make_settings(inventory, run=secrets.token_hex(4))
    with _alone(kubectl, inventory), DrillPod(within, inventory, settings, progress=progress) as pod:
        routing = Routing(within, inventory.postgres.scope, pod)
        try:
            stage = Stage(inventory, within, pod)
            for _ in range(trials):
                for fault in faults:
                    _run_until_steady(stage, fault, routing, evidence, progress)
        finally:
            routing.close()


def _run_until_steady(
    stage: Stage, fault: Fault, routing: Routing, evidence: EvidenceDirectory, progress: Progress
) -> None:
    """Run one trial, and another in place of one that was void before its fault struck.

    What voids it is known before its outcome, so no outcome is chosen by this; the void ones stay in the evidence.
    """
    for _ in range(1 + MOST_REPEATS):
        if _run_trial(stage, fault, routing, evidence, progress).steady_before.ok:
            return


def _run_trial(stage: Stage, fault: Fault, routing: Routing, evidence: EvidenceDirectory, progress: Progress) -> Trial:
    number = _next_number(evidence, fault.name)
    outcome = TrialRun(stage, fault, routing, number=number, progress=progress).run()
    folder = f"drills/{fault.name}/{number}"
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
def _alone(kubectl: Kubectl, inventory: Inventory) -> Iterator[None]:
    """Hold the lock on drilling this stack from this machine; `UsageError` where another drill has it."""
    folder = state_home() / "drills"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{kubectl.context}.{inventory.namespace}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"stack {inventory.stack}: another drill is running on it", remedy="Wait until it has ended."
            ) from None
        yield
