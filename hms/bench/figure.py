"""One figure of the service with its bound, and what the machine does without the service beside it."""

from collections.abc import Sequence

import msgspec

from hms.claim import COMPARE, Comparison, Statistic
from hms.evidence import Environment
from hms.statistics import distribution, statistic_of


class Raw(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured beside a figure, in its unit, in the same run: the least that it could be."""

    value: float
    what: str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured. `value` is the `statistic` of `samples` values, `smallest` and `largest` their ends.

    Without `comparison` and `bound` nothing is promised; the figure tells how large something is. `how` says what was
    done, so that another can do it again.
    """

    name: str
    value: float
    unit: str
    statistic: Statistic
    samples: int
    smallest: float
    largest: float
    how: str
    comparison: Comparison | None = None
    bound: float | None = None
    raw: Raw | None = None

    @property
    def holds(self) -> bool:
        """Say whether the figure is within its bound; one without a bound is."""
        if self.comparison is None or self.bound is None:
            return True
        return COMPARE[self.comparison](self.value, self.bound)


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run, and the machine that they are true of."""

    schema: int = 1
    started_at: str
    seconds: float
    commit: str
    machine: Environment
    busy_share: float
    """Share of the machine's processor time that others used just before: figures of a busy machine are not its own."""
    figures: tuple[Figure, ...]

    @property
    def breaches(self) -> tuple[Figure, ...]:
        """Return the figures that are out of their bounds."""
        return tuple(figure for figure in self.figures if not figure.holds)


def figure_of(
    values: Sequence[float],
    *,
    name: str,
    statistic: Statistic,
    unit: str,
    how: str,
    promised: tuple[Comparison, float] | None = None,
    raw: Raw | None = None,
) -> Figure:
    """Return the figure that a statistic of `values` is; `values` are in `unit`."""
    seen = distribution(values)
    return Figure(
        name=name,
        value=statistic_of(seen, statistic),
        unit=unit,
        statistic=statistic,
        samples=len(values),
        smallest=seen.values[0],
        largest=seen.values[-1],
        how=how,
        comparison=promised[0] if promised else None,
        bound=promised[1] if promised else None,
        raw=raw,
    )
