"""What every fault is."""

from typing import Protocol

from drills.stage import Injection, Proof, Stage


class Fault(Protocol):
    """One way to break a stack, once.

    `name` is the drill's, too. `seconds` is about what a trial of it takes, for `hms drill list`.
    """

    name: str
    does: str
    undone: str
    proved_by: str
    stays_true: str
    seconds: float

    def inject(self, stage: Stage) -> Injection:
        """Break it; `HmsError` where that could not be done, and then nothing is left broken."""

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Say whether it happened, by another witness than the one that did it."""

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Put right what does not heal by itself. It is called whatever `prove` came to, and may be called twice."""
