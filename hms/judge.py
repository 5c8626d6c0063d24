"""The judging core: claims and observations in, verdicts out. No I/O, no clock, no chance.

Invariants, whatever the evidence:

1. The same claims and observations, in whatever order the observations come, give the same verdicts.
2. PASSED needs at least `minimum_runs` conclusive runs, a figure that keeps the bound, and no *obstacle*: no run that
   is `unresolved` (damaged evidence, or a stack not steady again when it was asked what it has), and none that was
   set aside although what it shows breaks the bound.
3. A run counts only if all that it contributes to the claim is conclusive. One without steady state before the fault,
   without a proved fault, or whose generator was the limit never counts.
4. FAILED needs conclusive evidence. A counterexample needs no minimum number of runs: where further runs can only
   confirm the breach (`max` and `sum` under an upper bound, `min` over a lower one), one conclusive breach fails the
   claim. A quantile, median or mean can still turn with more runs, so below `minimum_runs` it is INCONCLUSIVE.
5. A value without an end (a write gap still open when the ledger closed) breaks every upper bound, alone and at once.
6. NOT_APPLICABLE only if every run of the claim says why it could not be tried. No run at all is INCONCLUSIVE.

The figure of a metric of raw values is the statistic over all values. That of histograms is taken in each run and the
worst run counts: a bad run cannot be thinned by good ones.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from hms.claim import COMPARE, Claim
from hms.figures import bound_text, count_text, figure_text
from hms.statistics import decode_histogram, distribution, rule_of_three, statistic_of
from hms.verdict import Observation, Outcome, Verdict

MONTH_SECONDS = 30 * 86_400
UPPER_BOUNDS = ("<=", "<", "==")
LOWER_BOUNDS = (">=", ">")


def judge(claims: Iterable[Claim], observations: Iterable[Observation]) -> tuple[Verdict, ...]:
    """Return one verdict for each claim, in order of the claims' ids. The module's invariants hold."""
    seen = sorted(observations, key=msgspec.json.Encoder(order="deterministic").encode)
    return tuple(judge_claim(claim, seen) for claim in sorted(claims, key=lambda claim: claim.id))


def concerns(claim: Claim, observation: Observation) -> bool:
    """Tell whether an observation is about a claim.

    Of an `unresolved` observation not every label is known; a missing one is taken as if it fitted, so that damage
    cannot hide a run from its claims.
    """
    if observation.metric != claim.metric:
        return False
    unknown = observation.unresolved

    def fits(key: str, wanted: str) -> bool:
        return observation.labels.get(key, wanted if unknown else None) == wanted

    def reaches(key: str, least: float) -> bool:
        return float(observation.labels.get(key, str(least) if unknown else "-inf")) >= least

    def left_out(key: str, patterns: tuple[str, ...]) -> bool:
        return key in observation.labels and any(fnmatchcase(observation.labels[key], one) for one in patterns)

    return (
        all(fits(key, wanted) for key, wanted in claim.where.items())
        and all(reaches(key, least) for key, least in claim.where_at_least.items())
        and not any(left_out(key, patterns) for key, patterns in claim.where_not.items())
    )


def values_of(claim: Claim, observation: Observation) -> tuple[float, ...]:
    """Return what an observation contributes to a claim: its raw values, or the claim's statistic of its histogram."""
    if not observation.histogram:
        return observation.values
    seen = decode_histogram(observation.histogram, scale=observation.histogram_scale)
    return (statistic_of(seen, claim.statistic),) if seen.total else ()


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The observations about one claim, sorted into what counts and what does not.

    `values` and `figure` are of the conclusive ones; `runs` are those that are conclusive in all that they contribute.
    """

    claim: Claim
    mine: tuple[Observation, ...]
    doubtful: tuple[Observation, ...]
    values: tuple[float, ...]
    figure: float | None
    runs: int

    @property
    def set_aside(self) -> int:
        return len({observation.run for observation in self.doubtful})

    @property
    def endless(self) -> int:
        return sum(math.isinf(value) for value in self.values)

    @property
    def needs(self) -> str:
        """Say how many runs counted of those needed, and why the others did not."""
        if not self.mine:
            return "nothing in this evidence is about it"
        reasons = {f"{o.run}: {o.inconclusive or 'it holds no value'}" for o in self.doubtful}
        counted = f"{count_text(self.runs, 'conclusive run')} of the {self.claim.minimum_runs} that it needs"
        return "; ".join((counted, *sorted(reasons)))


def judge_claim(claim: Claim, observations: Sequence[Observation]) -> Verdict:
    """Return the verdict on one claim; `observations` may hold those of others too."""
    if claim.faults_per_month:
        return _availability(claim, observations)
    weighed = _weigh(claim, observations)
    outcome, reason = _outcome(weighed)
    spread = distribution(weighed.values)
    return Verdict(
        claim=claim.id,
        outcome=outcome,
        figure=_finite(weighed.figure),
        smallest=_finite(statistic_of(spread, "min")) if weighed.values else None,
        median=_finite(statistic_of(spread, "median")) if weighed.values else None,
        largest=_finite(statistic_of(spread, "max")) if weighed.values else None,
        runs=weighed.runs,
        runs_set_aside=weighed.set_aside,
        endless=weighed.endless,
        reason=reason,
    )


def _availability(claim: Claim, observations: Sequence[Observation]) -> Verdict:
    """Return the verdict on an availability: the share of a month of 30 days that the stated faults leave.

    Each drill is weighed by itself, by the same rules as any claim; one that is missing, too rare, or in doubt leaves
    the whole open, and a gap without an end fails it.
    """
    parts: dict[str, _Weighed] = {}
    for drill in sorted(claim.faults_per_month):
        one = msgspec.structs.replace(
            claim, where={**claim.where, "drill": drill}, faults_per_month={}, comparison="<=", bound=MONTH_SECONDS,
            unit="s",
        )  # fmt: skip
        parts[drill] = _weigh(one, observations)
    figure: float | None = None
    outcome: Outcome = "INCONCLUSIVE"
    endless = [f"{drill}: {_refutation(part)}" for drill, part in parts.items() if part.endless]
    lacking = [f"{drill}: {part.needs}" for drill, part in parts.items() if part.runs < claim.minimum_runs]
    obstacles = [_obstacle(part.claim, part.doubtful) for part in parts.values()]
    if endless:
        outcome, reason = "FAILED", "; ".join(endless)
    elif lacking or any(obstacles):
        reason = "; ".join(filter(None, (*lacking, *obstacles)))
    else:
        costs = {drill: claim.faults_per_month[drill] * (part.figure or 0) for drill, part in parts.items()}
        down_seconds = math.fsum(costs.values())
        figure = 100 * (1 - down_seconds / MONTH_SECONDS)
        outcome = "PASSED" if COMPARE[claim.comparison](figure, claim.bound) else "FAILED"
        rates = claim.faults_per_month
        sum_text = " + ".join(
            f"{rates[drill]:g} × {figure_text(part.figure, 's')} ({drill})" for drill, part in parts.items()
        )
        reason = (
            f"a month: {sum_text} = {figure_text(down_seconds, 's')} of {figure_text(MONTH_SECONDS, 's')}, "
            f"{figure:.4f} %, bound {bound_text(claim.comparison, claim.bound, claim.unit)}"
        )
    return Verdict(
        claim=claim.id, outcome=outcome, figure=figure, smallest=None, median=None, largest=None,
        runs=sum(part.runs for part in parts.values()), runs_set_aside=sum(part.set_aside for part in parts.values()),
        endless=sum(part.endless for part in parts.values()), reason=reason,
    )  # fmt: skip


def _weigh(claim: Claim, observations: Sequence[Observation]) -> _Weighed:
    mine = tuple(observation for observation in observations if concerns(claim, observation))
    conclusive: list[Observation] = []
    doubtful: list[Observation] = []
    values: list[float] = []
    for observation in mine:
        if observation.not_applicable:
            continue
        contributed = () if observation.inconclusive else values_of(claim, observation)
        values += contributed
        (conclusive if contributed else doubtful).append(observation)
    return _Weighed(
        claim=claim,
        mine=mine,
        doubtful=tuple(doubtful),
        values=tuple(values),
        figure=_figure(claim, values, worst=any(observation.histogram for observation in conclusive)),
        runs=len({o.run for o in conclusive} - {o.run for o in doubtful}),
    )


def _figure(claim: Claim, values: Sequence[float], *, worst: bool) -> float | None:
    """Return the claim's statistic over the values, or the `worst` where each value is a run's own statistic."""
    if not values:
        return None
    if worst:
        return max(values) if claim.comparison in UPPER_BOUNDS else min(values)
    return statistic_of(distribution(values), claim.statistic)


def _outcome(weighed: _Weighed) -> tuple[Outcome, str]:
    """Decide, in this order: nothing to try, no figure, a counterexample, too few runs, the bound, an obstacle."""
    claim, figure = weighed.claim, weighed.figure
    if weighed.mine and all(observation.not_applicable for observation in weighed.mine):
        return "NOT_APPLICABLE", "; ".join(sorted({observation.not_applicable for observation in weighed.mine}))
    if figure is None:
        return "INCONCLUSIVE", weighed.needs
    enough = weighed.runs >= claim.minimum_runs
    refuted = _refutation(weighed)
    if refuted and (enough or _stands_alone(weighed)):
        return "FAILED", refuted
    if not enough:
        return "INCONCLUSIVE", weighed.needs
    obstacle = _obstacle(claim, weighed.doubtful)
    if obstacle:
        return "INCONCLUSIVE", obstacle
    return "PASSED", _comparison(claim, figure) + _confidence(claim, figure, weighed.runs)


def _refutation(weighed: _Weighed) -> str:
    """Return how the conclusive values break the bound; empty if they keep it."""
    claim, figure = weighed.claim, weighed.figure
    if weighed.endless and claim.comparison in UPPER_BOUNDS:
        measured = count_text(len(weighed.values), "measurement")
        return f"in {weighed.endless} of {measured} it had not ended when the record closed"
    if figure is None or COMPARE[claim.comparison](figure, claim.bound):
        return ""
    return _comparison(claim, figure)


def _stands_alone(weighed: _Weighed) -> bool:
    """Tell whether more runs could only confirm the breach; a sum is one of counts, which are never negative."""
    claim, figure = weighed.claim, weighed.figure
    if claim.comparison in UPPER_BOUNDS:
        above = figure is not None and figure > claim.bound
        return bool(weighed.endless) or (claim.statistic in ("max", "sum") and (above or claim.comparison != "=="))
    return claim.statistic == "min"


def _obstacle(claim: Claim, doubtful: Sequence[Observation]) -> str:
    """Return why the claim must not pass although the figure keeps the bound; empty if nothing stands against it."""
    for observation in doubtful:
        if observation.unresolved:
            return f"{observation.run}: {observation.inconclusive}"
    for observation in doubtful:
        for value in values_of(claim, observation):
            if not COMPARE[claim.comparison](value, claim.bound):
                text = figure_text(value, claim.unit)
                return f"{observation.run} shows {text}, but does not count: {observation.inconclusive}"
    return ""


def _comparison(claim: Claim, figure: float) -> str:
    """Return the figure beside the bound, in words."""
    statistic = {"sum": "in all", "max": "largest", "min": "smallest"}.get(claim.statistic, claim.statistic)
    bound = bound_text(claim.comparison, claim.bound, claim.unit)
    return f"{statistic} {figure_text(figure, claim.unit)}, bound {bound}"


def _confidence(claim: Claim, figure: float, runs: int) -> str:
    if not claim.counts_losses or figure != 0:
        return ""
    rate = rule_of_three(runs)
    bound = f"at 95 % confidence below {100 * rate:.3g} % of such runs" if rate < 1 else "too few to bound the rate"
    return f"; none in {count_text(runs, 'run')}: {bound} (3/N)"


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value
