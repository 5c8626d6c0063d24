"""The circuit breaker: whether a dependency is asked, decided from what became of the calls before.

Pure: no clock, no I/O.

Invariants:
- A request is admitted only while the breaker is closed; so no request ever pays for finding out that the dependency
  is still dead. Finding out is a trial, one at a time, made by whoever watches the dependency.
- What a call that began before the last change of state has to say is ignored: a straggler neither closes a breaker
  that has opened since, nor opens one that has closed since.
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Closed: asked. Open: not asked. Half-open: one trial is on its way, and nobody else asks."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to one call. `era` counts the changes of state before it."""

    era: int


class Breaker:
    """Opens after `failures` failures in a row; closes by a trial that succeeds, `rest_seconds` later at the soonest.

    Times are monotonic seconds, given by the caller, and never run backwards.
    """

    def __init__(self, *, failures: int, rest_seconds: float, state: State = State.CLOSED) -> None:
        if failures < 1 or rest_seconds < 0:
            raise ValueError(
                f"failures is {failures} and must be 1 at least; rest_seconds is {rest_seconds}, 0 at least"
            )
        self._most = failures
        self._rest_seconds = rest_seconds
        self._in_a_row = 0
        self._era = 0
        self._opened_at = float("-inf")
        self.state = state

    def admit(self) -> Permit | None:
        """Let a request through, or not."""
        return Permit(self._era) if self.state is State.CLOSED else None

    def try_again(self, now: float) -> Permit | None:
        """Let the watcher through: always while closed, as the one trial once an open breaker has rested."""
        if self.state is State.OPEN and now - self._opened_at >= self._rest_seconds:
            self._change(State.HALF_OPEN)
            return Permit(self._era)
        return self.admit()

    def succeeded(self, permit: Permit) -> None:
        """Take the news that a call was answered."""
        if permit.era != self._era:
            return
        self._in_a_row = 0
        if self.state is State.HALF_OPEN:
            self._change(State.CLOSED)

    def failed(self, permit: Permit, now: float) -> None:
        """Take the news that a call was not answered."""
        if permit.era != self._era:
            return
        self._in_a_row += 1
        if self.state is State.HALF_OPEN or self._in_a_row >= self._most:
            self._open(now)

    def dropped(self, permit: Permit) -> None:
        """Take a permit back whose call was given up without an answer: a trial may then be made anew at once."""
        if permit.era == self._era and self.state is State.HALF_OPEN:
            self._change(State.OPEN)

    def trip(self, now: float) -> None:
        """Open at once: somebody knows."""
        if self.state is not State.OPEN:
            self._open(now)

    def _open(self, now: float) -> None:
        self._opened_at = now
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        self.state = state
        self._in_a_row = 0
        self._era += 1
