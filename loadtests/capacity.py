"""The search for the highest rate that holds. The core is pure: it says which rate to try next and is told how it went.

Invariants, whatever is told: no rate is tried above one that failed; `confirmed` held twice, the second time last of
all; it and `failing` are within `PRECISION` of each other. At most `MOST_PROBES` are asked for.
"""

from dataclasses import dataclass, field
from typing import Literal

PRECISION = 0.1
"""The search ends when the lowest rate that failed is at most this share above the highest that held."""

MOST_PROBES = 24
FIRST_STEP = 2.0

Outcome = Literal["held", "failed", "generator"]


@dataclass(slots=True)
class CapacitySearch:
    """Doubling from `first`, up to `highest`, until a rate fails; then halving the ratio; then confirming what is left.

    A rate that holds only once does not count: the last probe asks for it again, and if it fails then, the search goes
    on below. `generator` ends the search: what the generator cannot send says nothing about the stack.
    """

    first: float
    highest: float
    holding: float | None = None
    failing: float | None = None
    confirmed: float | None = None
    limited_by_generator: bool = False
    probes: int = 0
    _held: list[float] = field(default_factory=list)

    def next_rate(self) -> float | None:
        """Return the rate to try next, or None when the search is over."""
        if self.confirmed is not None or self.limited_by_generator or self.probes >= MOST_PROBES:
            return None
        if self.holding is None:
            return self.first if self.failing is None else self._below(self.failing)
        if self.failing is None:
            return self.holding if self.holding >= self.highest else min(self.holding * FIRST_STEP, self.highest)
        if self.failing / self.holding > 1 + PRECISION:
            return float((self.holding * self.failing) ** 0.5)
        return self.holding

    @property
    def confirming(self) -> bool:
        """Return whether the next probe is of a rate that held before."""
        return self.holding is not None and self.next_rate() == self.holding

    def tell(self, rate: float, outcome: Outcome) -> None:
        """Take note of how a rate went."""
        self.probes += 1
        if outcome == "generator":
            self.limited_by_generator = True
        elif outcome == "held":
            if rate == self.holding:
                self.confirmed = rate
            else:
                self._held.append(rate)
                self.holding = rate
        else:
            self.failing = rate if self.failing is None else min(rate, self.failing)
            self._held = [one for one in self._held if one < self.failing]
            self.holding = max(self._held, default=None)

    def _below(self, rate: float) -> float | None:
        """Return the next rate to try where even the first failed; None where there is nothing left to carry."""
        return rate / FIRST_STEP if rate / FIRST_STEP >= self.first / FIRST_STEP**6 else None
