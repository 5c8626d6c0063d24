"""Where a fault happens: the stack, the clock, and what has been seen so far."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

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
    is the state of the stack then. `notes` are what was seen in doing it.
    """

    target: str
    at_ns: int
    uncertainty_ns: int
    before: State
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the fault was seen to have happened, and by what."""

    proved: bool
    how: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What a fault may use. `kubectl` is within the stack's namespace."""

    inventory: Inventory
    kubectl: Kubectl
    pod: DrillPod

    def state(self) -> State:
        """Return what the observer said last; `HmsError` if it has said nothing yet."""
        state = self.pod.feed.state
        if state is None:
            raise HmsError("the observer has not said anything yet", remedy="Look at the log of its container.")
        return state

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
