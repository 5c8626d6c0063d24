"""Is one build slower than another? Two sets of load runs compared by a test that knows noise. Pure.

The method. A run's windows are joined to blocks of `BLOCK_SECONDS`, long enough that neighbours are nearly independent;
each gives a quantile of the response times of each operation. The figure of a build is the median over all its blocks.
What chance can do to the ratio of two figures is had by the bootstrap in two levels (Davison and Hinkley, "Bootstrap
Methods and their Application", 1997, 3.8): `RESAMPLES` times, runs are drawn anew from each build's, and blocks anew
from each drawn run's, so that a machine that was slower for the length of a whole run counts as noise, too. That is why
a profile runs its scenarios in rounds. A run in which the generator was the limit is left out.

- `slower`: the ratio is `LEAST_EFFECT` above 1 or more, and above 1 in all but `ALPHA` of the resamples; or `faster`.
- `same`: neither, and a ratio of `WANTED_EFFECT` above 1 is excluded: it is outside the resamples' `ALPHA` bounds.
- `unclear`: neither, because the noise could hide it, or because there are fewer than `LEAST_RUNS` runs or
  `LEAST_BLOCKS` blocks on a side. That fails nothing; longer runs, more rounds or a quieter machine make it clear.

The same runs give the same answer: the resamples come from a fixed seed. What it cannot know is a change of the machine
between the two sets, longer than either: so the environments are compared, too, by whoever shows this.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Literal

from hms.derive_load import generator_limit
from hms.evidence import LoadRun
from hms.statistics import Distribution, decode_histogram

BLOCK_SECONDS = 5.0
RESAMPLES = 2000
ALPHA = 0.01
LEAST_EFFECT = 0.10
WANTED_EFFECT = 0.20
LEAST_RUNS = 2
LEAST_BLOCKS = 6
LEAST_REQUESTS = 20
"""A block with fewer requests of an operation has no quantile worth the name."""

QUANTILES = {"p50": Fraction(1, 2), "p95": Fraction(95, 100)}

Answer = Literal["slower", "faster", "same", "unclear"]
Runs = Sequence[Sequence[float]]
"""A quantile of each block, by run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One quantile of one operation of one kind of load, before and after; `low` to `high` is what chance allows.

    `ratio` is after over before; all three are 0 where there is nothing to compare.
    """

    load: str
    operation: str
    quantile: str
    before_ms: float
    after_ms: float
    ratio: float
    low: float
    high: float
    answer: Answer


def compare_runs(before: Iterable[LoadRun], after: Iterable[LoadRun]) -> tuple[Comparison, ...]:
    """Return a comparison for each operation and quantile that both builds have under the same load."""
    old, new = _blocks(before), _blocks(after)
    return tuple(
        _comparison(load, operation, quantile, old[load, operation, quantile], new[load, operation, quantile])
        for load, operation, quantile in sorted(old.keys() & new.keys())
    )


def _comparison(load: str, operation: str, quantile: str, old: Runs, new: Runs) -> Comparison:
    ratio, low, high = ratio_of(old, new)
    return Comparison(
        load=load, operation=operation, quantile=quantile, before_ms=_figure(old), after_ms=_figure(new),
        ratio=ratio, low=low, high=high, answer=answer_to(old, new, ratio=ratio, low=low, high=high),
    )  # fmt: skip


def answer_to(old: Runs, new: Runs, *, ratio: float, low: float, high: float) -> Answer:
    """Return what the ratio and its bounds say."""
    if any(len(runs) < LEAST_RUNS or sum(map(len, runs)) < LEAST_BLOCKS for runs in (old, new)):
        return "unclear"
    if ratio >= 1 + LEAST_EFFECT and low > 1:
        return "slower"
    if ratio <= 1 / (1 + LEAST_EFFECT) and high < 1:
        return "faster"
    return "same" if high < 1 + WANTED_EFFECT else "unclear"


def ratio_of(old: Runs, new: Runs) -> tuple[float, float, float]:
    """Return the ratio of the figures, and the bounds that leave out `ALPHA` of the resamples on either side."""
    random = Random(98_186)  # noqa: S311  # must be repeatable, not secret
    ratios = sorted(_figure(_drawn(new, random)) / _figure(_drawn(old, random)) for _ in range(RESAMPLES))
    cut = round(ALPHA * RESAMPLES)
    return _figure(new) / _figure(old), ratios[cut], ratios[-1 - cut]


def _figure(runs: Runs) -> float:
    return statistics.median(value for run in runs for value in run)


def _drawn(runs: Runs, random: Random) -> Runs:
    return [random.choices(run, k=len(run)) for run in random.choices(runs, k=len(runs))]


def _blocks(runs: Iterable[LoadRun]) -> Mapping[tuple[str, str, str], Runs]:
    """Return the blocks' quantiles in ms by load, operation and quantile; probes and runs without windows have none."""
    found: dict[tuple[str, str, str], list[list[float]]] = defaultdict(list)
    for run in runs:
        if run.objective is not None or not run.window_seconds or generator_limit(run):
            continue
        load = f"{run.scenario} at {run.rate_per_second:g}/s" + (f", {run.shape}" if run.shape else "")
        for (operation, quantile), values in _blocks_of(run).items():
            found[load, operation, quantile].append(values)
    return found


def _blocks_of(run: LoadRun) -> dict[tuple[str, str], list[float]]:
    counts: dict[tuple[int, str], Counter[float]] = defaultdict(Counter)
    for window in run.windows:
        place = int(window.number * run.window_seconds // BLOCK_SECONDS)
        for operation in window.operations:
            seen = decode_histogram(operation.response_histogram, scale=0.001)
            counts[place, operation.name].update(dict(zip(seen.values, seen.counts, strict=True)))
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (_, operation_name), counted in sorted(counts.items()):
        block_values = tuple(sorted(counted))
        block = Distribution(values=block_values, counts=tuple(counted[value] for value in block_values))
        if block.total >= LEAST_REQUESTS:
            for name, fraction in QUANTILES.items():
                found[operation_name, name].append(max(block.quantile(fraction), 0.001))
    return found


def comparison_lines(found: Sequence[Comparison]) -> list[str]:
    """Return a line for each comparison, those that differ first."""
    order: dict[Answer, int] = {"slower": 0, "faster": 1, "unclear": 2, "same": 3}
    return [
        f"{one.answer:<8} {one.load}: {one.operation} {one.quantile} {one.before_ms:.2f} -> {one.after_ms:.2f} ms, "
        f"ratio {one.ratio:.3f} ({one.low:.3f} to {one.high:.3f} by chance)"
        for one in sorted(found, key=lambda one: (order[one.answer], one.load, one.operation, one.quantile))
    ]
