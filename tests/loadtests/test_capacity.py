"""The search for the capacity: it ends, and what it says is what it was told."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.capacity import FIRST_STEP, MOST_PROBES, PRECISION, CapacitySearch, Outcome


def searched(search: CapacitySearch, *, capacity: float, doubt: float = 0.0, seed: int = 0) -> list[float]:
    """Run a search against a stack of that capacity, which within `doubt` of it holds or fails by chance."""
    random, tried = Random(seed), []
    while (rate := search.next_rate()) is not None:
        tried.append(rate)
        near = abs(rate / capacity - 1) < doubt
        held = random.random() < 0.5 if near else rate <= capacity
        search.tell(rate, "held" if held else "failed")
    return tried


@given(first=st.floats(1, 1000), capacity=st.floats(1, 20_000))
def test_the_capacity_is_found_within_the_precision(first: float, capacity: float) -> None:
    search = CapacitySearch(first=first, highest=40_000)
    tried = searched(search, capacity=capacity)
    assert len(tried) <= MOST_PROBES
    if capacity < first / FIRST_STEP**6:
        assert search.confirmed is None
    else:
        assert search.confirmed is not None
        assert search.failing is not None
        assert search.confirmed <= capacity < search.failing <= search.confirmed * (1 + PRECISION) * (1 + 1e-9)
        assert tried[-1] == search.confirmed


@given(capacity=st.floats(20, 5000), doubt=st.floats(0, 0.3), seed=st.integers(0, 10_000))
def test_by_chance_it_ends_all_the_same_and_what_it_says_held_last(capacity: float, doubt: float, seed: int) -> None:
    search = CapacitySearch(first=20, highest=20_000)
    tried = searched(search, capacity=capacity, doubt=doubt, seed=seed)
    assert len(tried) <= MOST_PROBES
    if search.confirmed is not None:
        assert tried.count(search.confirmed) >= 2
        assert search.confirmed <= capacity * (1 + doubt)
        assert search.failing is None or search.confirmed < search.failing


def test_the_highest_rate_is_confirmed_and_not_passed() -> None:
    search = CapacitySearch(first=50, highest=300)
    assert searched(search, capacity=1000) == [50, 100, 200, 300, 300]
    assert search.confirmed == 300
    assert search.failing is None


@pytest.mark.parametrize("outcome", ["generator"])
def test_a_generator_at_its_limit_ends_the_search(outcome: Outcome) -> None:
    search = CapacitySearch(first=50, highest=300)
    search.tell(50, "held")
    search.tell(100, outcome)
    assert search.next_rate() is None
    assert search.confirmed is None
    assert search.holding == 50
