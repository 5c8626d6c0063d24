"""The judging core keeps the invariants that its first page states."""

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hms.claim import COMPARE, Claim
from hms.judge import judge, judge_claim
from hms.verdict import Observation
from tests.hms.evidence_samples import histogram

GAP = Claim(
    id="gap", statement="Gap.", source="Test.", metric="drill.write_gap", where={"writer": "postgres"}, statistic="p95",
    comparison="<=", bound=2.5, unit="s", minimum_runs=3,
)  # fmt: skip
LOST = Claim(
    id="lost", statement="None.", source="Test.", metric="drill.lost", statistic="sum", comparison="==", bound=0,
    unit="writes", minimum_runs=3, counts_losses=True,
)  # fmt: skip
P99 = Claim(
    id="p99", statement="Quick.", source="Test.", metric="load.response_time", where_at_least={"rate_per_second": 50},
    statistic="p99", comparison="<=", bound=100, unit="ms",
)  # fmt: skip


def gap(run: int, value: float, **more: object) -> Observation:
    return _observation("drill.write_gap", run, (value,), more)


def lost(run: int, value: float, **more: object) -> Observation:
    return _observation("drill.lost", run, (value,), more)


def _observation(metric: str, run: int, values: tuple[float, ...], more: dict[str, object]) -> Observation:
    plain = Observation(
        metric=metric, labels={"drill": "d", "writer": "postgres"}, run=f"drills/d/{run}", values=values
    )
    return msgspec.structs.replace(plain, **more)


def response(run: int, median_us: int, rate: str = "100", **more: object) -> Observation:
    plain = Observation(
        metric="load.response_time", labels={"rate_per_second": rate}, run=f"load/first/{run}",
        histogram=histogram(median_us, count=2000, seed=str(run)), histogram_scale=0.001,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def test_a_claim_that_holds_passes() -> None:
    verdict = judge_claim(GAP, [gap(1, 1.1), gap(2, 1.6), gap(3, 1.2)])
    assert (verdict.outcome, verdict.figure, verdict.runs, verdict.runs_set_aside) == ("PASSED", 1.6, 3, 0)
    assert (verdict.smallest, verdict.median, verdict.largest) == (1.1, 1.2, 1.6)


def test_a_claim_that_is_broken_fails() -> None:
    verdict = judge_claim(GAP, [gap(1, 1.1), gap(2, 2.6), gap(3, 1.2)])
    assert (verdict.outcome, verdict.reason) == ("FAILED", "p95 2.60 s, bound ≤ 2.50 s")


def test_too_few_runs_are_inconclusive_either_way_for_a_quantile() -> None:
    assert judge_claim(GAP, [gap(1, 1.1), gap(2, 1.2)]).outcome == "INCONCLUSIVE"
    verdict = judge_claim(GAP, [gap(1, 9.0), gap(2, 1.2)])
    assert (verdict.outcome, verdict.figure) == ("INCONCLUSIVE", 9.0)
    assert "2 conclusive runs of the 3" in verdict.reason


def test_one_lost_write_fails_the_claim_in_a_single_run() -> None:
    assert judge_claim(LOST, [lost(1, 1)]).outcome == "FAILED"
    assert judge_claim(LOST, [lost(1, 0)]).outcome == "INCONCLUSIVE"


def test_zero_losses_are_reported_with_their_bound() -> None:
    verdict = judge_claim(LOST, [lost(run, 0) for run in range(1, 31)])
    assert (
        verdict.reason
        == "in all 0 writes, bound = 0 writes; none in 30 runs: at 95 % confidence below 10 % of such runs (3/N)"
    )


def test_a_gap_without_end_fails_alone_and_at_once() -> None:
    verdict = judge_claim(GAP, [gap(1, math.inf)])
    assert (verdict.outcome, verdict.figure, verdict.endless) == ("FAILED", None, 1)
    many = [gap(run, 1.0) for run in range(2, 100)]
    verdict = judge_claim(GAP, [gap(1, math.inf), *many])
    assert (verdict.outcome, verdict.figure, verdict.largest) == ("FAILED", 1.0, None)


def test_no_run_is_inconclusive() -> None:
    verdict = judge_claim(GAP, [lost(1, 0)])
    assert (verdict.outcome, verdict.figure, verdict.runs) == ("INCONCLUSIVE", None, 0)


def test_runs_that_could_not_be_tried_are_not_applicable() -> None:
    absent = gap(1, 0, values=(), not_applicable="no node can be stopped here")
    verdict = judge_claim(GAP, [absent])
    assert (verdict.outcome, verdict.reason) == ("NOT_APPLICABLE", "no node can be stopped here")
    assert judge_claim(GAP, [absent, gap(2, 1.0)]).outcome == "INCONCLUSIVE"


def test_a_run_that_never_began_is_set_aside() -> None:
    good = [gap(run, 1.0) for run in (1, 2, 3)]
    verdict = judge_claim(GAP, [*good, gap(4, 1.0, inconclusive="the fault was not proved")])
    assert (verdict.outcome, verdict.runs, verdict.runs_set_aside) == ("PASSED", 3, 1)


def test_a_run_set_aside_that_shows_a_breach_is_not_passed_over() -> None:
    good = [gap(run, 1.0) for run in (1, 2, 3)]
    verdict = judge_claim(GAP, [*good, gap(4, 7.0, inconclusive="the fault was not proved")])
    assert (verdict.outcome, verdict.figure) == ("INCONCLUSIVE", 1.0)
    assert verdict.reason == "drills/d/4 shows 7 s, but does not count: the fault was not proved"


def test_damage_is_not_passed_over_whatever_labels_it_hides() -> None:
    good = [gap(run, 1.0) for run in (1, 2, 3)]
    damaged = gap(4, 0, values=(), labels={}, inconclusive="trial.json: damaged", unresolved=True)
    assert judge_claim(GAP, [*good, damaged]).outcome == "INCONCLUSIVE"
    assert judge_claim(GAP, [gap(5, math.inf), *good, damaged]).outcome == "FAILED"


def test_a_run_counts_only_as_a_whole() -> None:
    twice = [lost(1, 0), lost(1, 0, inconclusive="unread", labels={"drill": "d", "writer": "app"})]
    verdict = judge_claim(LOST, [*twice, lost(2, 0), lost(3, 0)])
    assert (verdict.outcome, verdict.runs, verdict.runs_set_aside) == ("INCONCLUSIVE", 2, 1)


def test_of_histograms_the_worst_run_counts() -> None:
    verdict = judge_claim(P99, [response(1, 5_000), response(2, 60_000), response(3, 5_000)])
    assert verdict.outcome == "FAILED"
    assert verdict.figure == verdict.largest
    assert verdict.figure is not None
    assert verdict.figure > 100


def test_a_latency_at_a_lower_rate_says_nothing() -> None:
    assert judge_claim(P99, [response(1, 5_000, rate="49.9")]).outcome == "INCONCLUSIVE"
    assert judge_claim(P99, [response(1, 5_000, rate="50")]).outcome == "PASSED"


def test_an_empty_histogram_says_nothing() -> None:
    nothing = histogram(1, count=0, seed="")
    assert judge_claim(P99, [response(1, 1, histogram=nothing)]).outcome == "INCONCLUSIVE"


def test_a_generator_at_its_limit_says_nothing() -> None:
    verdict = judge_claim(P99, [response(1, 90_000, inconclusive="the generator was the limit")])
    assert (verdict.outcome, verdict.runs_set_aside) == ("INCONCLUSIVE", 1)


OBSERVATIONS = st.builds(
    Observation,
    metric=st.sampled_from(["drill.write_gap", "drill.lost"]),
    labels=st.fixed_dictionaries({"drill": st.just("d"), "writer": st.sampled_from(["postgres", "redis"])}),
    run=st.integers(1, 6).map("drills/d/{}".format),
    values=st.sampled_from([(), (0.0,), (1.0,), (3.0,), (math.inf,)]),
    inconclusive=st.sampled_from(["", "", "", "unproved"]),
    unresolved=st.booleans(),
    not_applicable=st.sampled_from(["", "", "", "no such node"]),
).map(lambda o: o if o.inconclusive else msgspec.structs.replace(o, unresolved=False))
CLAIMS = st.builds(
    Claim,
    id=st.just("c"), statement=st.just("s"), source=st.just("t"),
    metric=st.sampled_from(["drill.write_gap", "drill.lost"]),
    where=st.sampled_from([{}, {"writer": "postgres"}]),
    statistic=st.sampled_from(["min", "median", "p95", "max", "sum", "mean"]),
    comparison=st.sampled_from(sorted(COMPARE)), bound=st.sampled_from([0.0, 1.0, 2.0]), unit=st.just("s"),
    minimum_runs=st.integers(1, 4), counts_losses=st.booleans(),
)  # fmt: skip


@given(CLAIMS, st.lists(OBSERVATIONS, max_size=10), st.randoms())
def test_the_order_of_observations_changes_nothing(
    claim: Claim, seen: list[Observation], chance: random.Random
) -> None:
    first = judge([claim], seen)
    chance.shuffle(seen)
    assert judge([claim], seen) == first


@given(CLAIMS, st.lists(OBSERVATIONS, max_size=10))
def test_passed_means_enough_whole_runs_within_the_bound_and_nothing_unresolved(
    claim: Claim, seen: list[Observation]
) -> None:
    verdict = judge_claim(claim, seen)
    about = [o for o in seen if o.metric == claim.metric and claim.where.items() <= o.labels.items()]
    tried = [o for o in about if not o.not_applicable]
    good = {o.run for o in tried if not o.inconclusive and o.values}
    good -= {o.run for o in tried if o.inconclusive or not o.values}
    assert verdict.runs == len(good)
    if verdict.outcome == "PASSED":
        assert len(good) >= claim.minimum_runs
        assert not any(o.unresolved for o in tried)
        figure = math.inf if verdict.figure is None else verdict.figure
        assert COMPARE[claim.comparison](figure, claim.bound)


@given(CLAIMS, st.lists(OBSERVATIONS, max_size=10))
def test_failed_rests_on_conclusive_evidence(claim: Claim, seen: list[Observation]) -> None:
    conclusive = [o for o in seen if not o.inconclusive and not o.not_applicable]
    if judge_claim(claim, seen).outcome == "FAILED":
        assert judge_claim(msgspec.structs.replace(claim, minimum_runs=1), conclusive).outcome == "FAILED"


@given(st.lists(OBSERVATIONS, max_size=10), OBSERVATIONS)
def test_more_runs_never_mend_a_loss(seen: list[Observation], more: Observation) -> None:
    if judge_claim(LOST, seen).outcome == "FAILED":
        assert judge_claim(LOST, [*seen, more]).outcome == "FAILED"


@pytest.mark.parametrize(("comparison", "value"), [(">=", 2.0), (">", 2.0)])
def test_a_floor_is_broken_by_one_run_below_it(comparison: str, value: float) -> None:
    floor = msgspec.structs.replace(GAP, statistic="min", comparison=comparison, bound=value)
    assert judge_claim(floor, [gap(1, 1.0)]).outcome == "FAILED"
    assert judge_claim(floor, [gap(1, 3.0)]).outcome == "INCONCLUSIVE"


def test_what_a_pattern_leaves_out_is_not_about_the_claim() -> None:
    claim = msgspec.structs.replace(LOST, where_not={"drill": ("*+*", "node-*-all")})
    for drill, counted in (("postgres-kill", 1), ("a+b", 0), ("node-restart-all", 0), ("node-all", 1)):
        seen = lost(1, 3, labels={"drill": drill, "writer": "postgres"})
        assert judge_claim(claim, [seen]).runs == counted
    damaged = lost(1, 0, labels={"writer": "postgres"}, values=(), inconclusive="damaged", unresolved=True)
    assert judge_claim(claim, [damaged]).runs_set_aside == 1


YEAR = Claim(
    id="availability", statement="Up.", source="Test.", metric="drill.write_gap", where={"writer": "app"},
    faults_per_month={"a": 10, "b": 2}, statistic="p95", comparison=">=", bound=99.9, unit="%", minimum_runs=2,
)  # fmt: skip


def down(drill: str, run: int, seconds: float, **more: object) -> Observation:
    labels = {"drill": drill, "writer": "app"}
    plain = Observation(metric="drill.write_gap", labels=labels, run=f"drills/{drill}/{run}", values=(seconds,))
    return msgspec.structs.replace(plain, **more)


FINE = [down("a", 1, 2.0), down("a", 2, 3.0), down("b", 1, 20.0), down("b", 2, 24.0)]


def test_availability_is_the_stated_faults_times_their_gaps() -> None:
    verdict = judge_claim(YEAR, FINE)
    assert verdict.outcome == "PASSED"
    assert verdict.figure == 100 * (1 - (10 * 3.0 + 2 * 24.0) / (30 * 86_400))
    assert "10 × 3 s (a) + 2 × 24 s (b) = 78 s of 2,592,000 s" in verdict.reason
    assert verdict.runs == 4


@pytest.mark.parametrize(
    ("changed", "outcome", "reason"),
    [
        ([*FINE[:3]], "INCONCLUSIVE", "b: 1 conclusive run of the 2"),
        (FINE[:2], "INCONCLUSIVE", "b: nothing in this evidence"),
        ([*FINE, down("b", 3, 3000.0)], "FAILED", "bound ≥ 99.9 %"),
        ([*FINE, down("b", 3, math.inf)], "FAILED", "b: in 1 of 3 measurements it had not ended"),
        ([*FINE, down("a", 3, 1.0, inconclusive="damaged", unresolved=True)], "INCONCLUSIVE", "damaged"),
        ([*FINE, down("c", 1, 9999.0)], "PASSED", "78 s"),
    ],
)
def test_availability_is_never_guessed(changed: list[Observation], outcome: str, reason: str) -> None:
    verdict = judge_claim(YEAR, changed)
    assert (verdict.outcome, reason in verdict.reason) == (outcome, True), verdict.reason
