"""Where a fault happens: the stack, its machines, the clock, what is owed, and what has been seen so far."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from drills.debts import Debt, Debts
from drills.logs import Logs, logs_of
from drills.machines import Machines
from drills.pod import DrillPod
from drills.steadiness import not_ready_because
from drills.wire import State
from hms.errors import HmsError
from hms.inventory import Inventory
from hms.kubectl import Kubectl

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault that was done.

    `at_ns` is the latest moment known to be before it, on the writers' clock, off by at most `uncertainty_ns`. `before`
    is the state of the stack then. `notes` are what was seen in doing it; `parts` are those of a fault made of several.
    """

    target: str
    at_ns: int
    uncertainty_ns: int
    before: State
    notes: tuple[str, ...]
    parts: tuple["Injection", ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the fault was seen to have happened, and by what."""

    proved: bool
    how: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What a fault may use. `kubectl` is within the stack's namespace; `test_cluster` is None on any other cluster."""

    inventory: Inventory
    kubectl: Kubectl
    pod: DrillPod
    debts: Debts
    test_cluster: Machines | None = None

    def logs(self) -> Logs:
        """Return the logs of the stack's containers."""
        return logs_of(self.kubectl, self.test_cluster)

    @property
    def machines(self) -> Machines:
        """The test cluster's machines; `HmsError` where a fault that did not say it needs them asks for them."""
        if self.test_cluster is None:
            raise HmsError("this cluster's machines are not ours to break", remedy="Run the drill on a test cluster.")
        return self.test_cluster

    def owe(self, debt: Debt) -> None:
        """Note what must be put right, before it is broken: it is done whatever becomes of this drill."""
        self.debts.owe(debt)

    def state(self) -> State:
        """Return what the observer said last; `HmsError` if it has said nothing yet."""
        state = self.pod.feed.state
        if state is None:
            raise HmsError("the observer has not said anything yet", remedy="Look at the log of its container.")
        return state

    def node_of(self, pod: str) -> str:
        """Return the name of the node that a pod runs on."""
        return str(self.kubectl.get("pod", pod)["spec"]["nodeName"])

    def leader_by_api(self) -> str:
        """Return who holds Patroni's key as the API server has it: also where the drill's own pod is cut off."""
        document = self.kubectl.get("endpoints", self.inventory.postgres.scope, timeout_seconds=5)
        return str(document["metadata"].get("annotations", {}).get("leader") or "")

    def not_ready_because(self) -> str:
        """Ask the API server which workloads of the stack lack a ready pod; return nothing if none does."""
        return not_ready_because(self.kubectl.get("statefulsets,deployments")["items"])

    def moment(self) -> tuple[int, int]:
        """Return now on the writers' clock, and how far off that may be, both in nanoseconds."""
        return self.pod.far_ns(time.monotonic_ns()), self.pod.offset.uncertainty_ns

    def until(self, condition: Callable[[State], T | None], timeout_seconds: float) -> T | None:
        """Return what `condition` finds in the stack's state as soon as it is not None; None when time is up."""
        return self.pod.feed.wait(
            lambda feed: condition(feed.state) if feed.state is not None else None, timeout_seconds
        )

    def ask_until(self, question: Callable[[], T | None], timeout_seconds: float, *, every_seconds: float) -> T | None:
        """Return the first answer of a question of the driver's own, asked again and again; None when time is up."""
        deadline = time.monotonic() + timeout_seconds
        while (answer := question()) is None and time.monotonic() < deadline:
            time.sleep(every_seconds)
        return answer
