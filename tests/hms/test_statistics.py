"""The statistics by their definitions, against other ways to compute them."""

import math
import random
from fractions import Fraction

import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # hdrh ships no types
from hypothesis import given
from hypothesis import strategies as st

from hms.statistics import QUANTILES, decode_histogram, distribution, rule_of_three, statistic_of

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


@given(NUMBERS, st.sampled_from(sorted(QUANTILES)))
def test_a_quantile_is_the_smallest_value_that_enough_do_not_exceed(values: list[float], name: str) -> None:
    fraction = QUANTILES[name]
    figure = distribution(values).quantile(fraction)
    assert figure in values
    assert sum(v <= figure for v in values) >= fraction * len(values)
    assert sum(v < figure for v in values) < fraction * len(values)


@given(NUMBERS)
def test_simple_statistics(values: list[float]) -> None:
    seen = distribution(values)
    assert statistic_of(seen, "min") == min(values)
    assert statistic_of(seen, "max") == max(values)
    assert statistic_of(seen, "sum") == math.fsum(values)
    assert statistic_of(seen, "mean") == math.fsum(values) / len(values)
    middle = sorted(values)
    expected = (middle[(len(values) - 1) // 2] + middle[len(values) // 2]) / 2
    assert statistic_of(seen, "median") == expected


def test_p95_of_fewer_than_twenty_is_the_maximum() -> None:
    assert statistic_of(distribution(range(19)), "p95") == 18
    assert statistic_of(distribution(range(20)), "p95") == 18
    assert statistic_of(distribution(range(40)), "p95") == 37


def test_a_value_without_end_is_never_smoothed_away() -> None:
    seen = distribution([1.0, 2.0, math.inf])
    assert statistic_of(seen, "max") == statistic_of(seen, "p95") == statistic_of(seen, "mean") == math.inf
    assert statistic_of(seen, "median") == 2.0


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number"):
        distribution([1.0, math.nan])


@pytest.mark.parametrize("statistic", ["min", "median", "p99", "max", "sum", "mean"])
def test_nothing_has_no_statistic(statistic: str) -> None:
    with pytest.raises(ValueError, match="no values"):
        statistic_of(distribution([]), statistic)  # type: ignore[arg-type]  # the parameters are statistics


def test_a_histogram_is_never_below_what_was_recorded() -> None:
    chance = random.Random(3)
    values = [chance.randrange(1, 50_000_000) for _ in range(5000)]
    histogram = HdrHistogram(1, 60_000_000, 3)
    for value in values:
        histogram.record_value(value)
    seen = decode_histogram(histogram.encode().decode(), scale=1)
    exact = distribution(values)
    assert seen.total == len(values)
    for fraction in (Fraction(1, 2), Fraction(99, 100), Fraction(999, 1000), Fraction(1)):
        assert exact.quantile(fraction) <= seen.quantile(fraction) <= exact.quantile(fraction) * 1.001 + 1


def test_a_histogram_is_scaled() -> None:
    histogram = HdrHistogram(1, 60_000_000, 3)
    histogram.record_value(1500)
    assert decode_histogram(histogram.encode().decode(), scale=0.001).values == (1.5,)


@pytest.mark.parametrize("encoded", ["", "x", "HISTFAAA", "HISTFAAAABt4nJNpmSzMgADMUJoRzJnc", "€", "AAAA" * 40])
def test_what_is_no_histogram_is_refused(encoded: str) -> None:
    with pytest.raises(ValueError, match="not an HDR histogram"):
        decode_histogram(encoded, scale=1)


def test_the_rule_of_three() -> None:
    assert rule_of_three(300) == 0.01
    assert rule_of_three(2) == 1
    for runs in range(1, 500):
        assert rule_of_three(runs) >= 1 - 0.05 ** (1 / runs)
    with pytest.raises(ValueError, match="0 runs"):
        rule_of_three(0)
