"""What every fault is."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from drills.stage import Injection, Proof, Stage

Need = Literal["machines"]
NEEDS: dict[Need, str] = {"machines": "the machines of a test cluster (`hms cluster up`), and root"}

Part = Literal["postgres", "redis", "app", "names", "cluster"]
EVERYTHING: frozenset[Part] = frozenset({"postgres", "redis", "app", "names", "cluster"})

Place = Literal["anywhere", "apart", "beside"]
"""Where the drill's pod has to be, seen from the node of the Postgres primary."""

RECOVERY_SECONDS = 90.0


@dataclass(frozen=True, kw_only=True)
class Fault(ABC):
    """One way to break a stack, once.

    `name` is the drill's, too. `seconds` is about what a trial of it takes, for `hms drill list`. A fault that does not
    undo itself notes what it owes (`Stage.owe`) before it breaks anything; all that is owed is paid after `hold`, which
    ends `lasts_seconds` after the fault struck unless the fault knows better. `touches` is what it breaks, so that two
    at a time are never of one thing; `keeps` are the engines whose primary must stay. One that `cuts_off` keeps the
    drill's pod from being heard meanwhile. `stubborn`: clients that stay with a silent primary write beside the others.
    """

    name: str
    does: str
    undone: str
    proved_by: str
    stays_true: str
    seconds: float
    touches: frozenset[Part]
    needs: tuple[Need, ...] = ()
    keeps: frozenset[Part] = frozenset()
    place: Place = "anywhere"
    cuts_off: bool = False
    stubborn: bool = False
    lasts_seconds: float = 0.0
    recovery_seconds: float = RECOVERY_SECONDS

    @abstractmethod
    def inject(self, stage: Stage) -> Injection:
        """Break it; `HmsError` where that could not be done, and then nothing is left broken that is not owed."""

    @abstractmethod
    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Say whether it happened, by another witness than the one that did it."""

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        """Let it last as long as it is to, and return the proof with what was seen meanwhile; then it is undone."""
        left_ns = injection.at_ns + round(self.lasts_seconds * 1e9) - stage.pod.far_ns()
        time.sleep(max(left_ns / 1e9, 0.0))
        return proof

    def of_trial(self, number: int) -> "Fault":
        """Return what trial `number` of this drill does; the same each time, unless the drill is a sweep."""
        return self

    def not_applicable_because(self, stage: Stage) -> str:
        """Return why this stack cannot be broken so; empty if it can."""
        if "machines" in self.needs and stage.test_cluster is None:
            return f"needs {NEEDS['machines']}: here the Kubernetes API alone is at hand"
        return ""
