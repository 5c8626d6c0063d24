"""The statistics that claims are judged by. Pure; each says which definition it is, for there are several.

Quantiles are by nearest rank (Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician
50, 1996, type 1, the inverse of the empirical distribution): the figure is always one that was observed, and p95 of
fewer than 20 values is their maximum. The median of an even number of values is the mean of the middle two.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import msgspec
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # hdrh ships no types

from hms.claim import Statistic

QUANTILES: dict[str, Fraction] = {"p95": Fraction(95, 100), "p99": Fraction(99, 100), "p99.9": Fraction(999, 1000)}


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How often each value was seen: ascending `values` with their `counts`, both of the same length."""

    values: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Return how many values were seen."""
        return sum(self.counts)

    def quantile(self, fraction: Fraction) -> float:
        """Return the smallest value that at least `fraction` of all do not exceed; `ValueError` if there is none."""
        if not self.counts:
            raise ValueError("no values, so no quantile")
        rank = max(1, math.ceil(fraction * self.total))
        for value, count in zip(self.values, self.counts, strict=True):
            rank -= count
            if rank <= 0:
                return value
        return self.values[-1]


def distribution(values: Sequence[float]) -> Distribution:
    """Return raw values as a distribution; infinity is allowed, `ValueError` for what is not a number."""
    if any(math.isnan(value) for value in values):
        raise ValueError("not a number among the values")
    ordered = sorted(values)
    return Distribution(values=tuple(ordered), counts=(1,) * len(ordered))


def decode_histogram(encoded: str, *, scale: float) -> Distribution:
    """Return an HDR histogram V2 (base64) as a distribution; a value in it times `scale` is in the wanted unit.

    Each bucket counts as its *highest* equivalent value, so a figure is never below what was recorded. Raises
    `ValueError` if it cannot be read.
    """
    try:
        histogram = HdrHistogram.decode(encoded.encode("ascii"))
        steps = [
            (step.value_iterated_to, step.count_added_in_this_iter_step) for step in histogram.get_recorded_iterator()
        ]
    except Exception as error:  # the decoder meets foreign bytes with whatever its parts raise: zlib, struct, index
        raise ValueError(f"not an HDR histogram: {error}") from error
    return Distribution(
        values=tuple(float(value) * scale for value, _ in steps), counts=tuple(int(count) for _, count in steps)
    )


def statistic_of(seen: Distribution, statistic: Statistic) -> float:
    """Return one statistic of at least one value; `ValueError` if there is none."""
    if not seen.counts:
        raise ValueError(f"no values, so no {statistic}")
    match statistic:
        case "min":
            return seen.values[0]
        case "max":
            return seen.values[-1]
        case "sum":
            return _sum(seen)
        case "mean":
            return _sum(seen) / seen.total
        case "median":
            return _median(seen)
        case _:
            return seen.quantile(QUANTILES[statistic])


def _sum(seen: Distribution) -> float:
    # fsum: the sum must not depend on the order, and the verdict's bytes must not depend on the machine.
    return math.fsum(value * count for value, count in zip(seen.values, seen.counts, strict=True))


def _median(seen: Distribution) -> float:
    half = seen.total // 2
    upper = seen.quantile(Fraction(half + 1, seen.total))
    if seen.total % 2:
        return upper
    return (seen.quantile(Fraction(half, seen.total)) + upper) / 2


def rule_of_three(runs: int) -> float:
    """Return the upper 95 % confidence bound on an event's rate per run after `runs` runs without the event: 3/runs.

    Source: Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249 (1983), 1743-1745. It
    is a little above the exact 1 - 0.05^(1/runs), hence safe, and is capped at 1. `ValueError` below one run.
    """
    if runs < 1:
        raise ValueError(f"{runs} runs say nothing about a rate")
    return min(1.0, 3 / runs)
