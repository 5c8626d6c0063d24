"""The schedule, the popularity and the queries: pure, so held to their definitions."""

from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.popularity import Zipf
from loadtests.queries import STOP_WORDS, significant_words, typed_query
from loadtests.schedule import NANOSECONDS, poisson_offsets_ns
from loadtests.terms import FILE, SAMPLE_SIZE, encode, load_terms, release_terms, sample

rates = st.floats(min_value=0.5, max_value=5000)
seeds = st.integers(min_value=0, max_value=2**32)


@settings(deadline=None)
@given(rate=rates, seed=seeds)
def test_arrivals_come_in_order_and_before_the_end(rate: float, seed: int) -> None:
    offsets = list(islice(poisson_offsets_ns(rate_per_second=rate, seconds=1.0, random=Random(seed)), 2000))
    assert all(0 <= a <= b < NANOSECONDS for a, b in pairwise(offsets))


@settings(deadline=None)
@given(rate=rates, seed=seeds)
def test_a_seed_gives_the_same_arrivals_however_long_the_run(rate: float, seed: int) -> None:
    endless = poisson_offsets_ns(rate_per_second=rate, seconds=None, random=Random(seed))
    bounded = poisson_offsets_ns(rate_per_second=rate, seconds=0.5, random=Random(seed))
    assert all(a == b for a, b in zip(bounded, endless, strict=False))


def test_gaps_are_those_of_a_poisson_process() -> None:
    count = 20_000
    offsets = list(islice(poisson_offsets_ns(rate_per_second=100, seconds=None, random=Random(7)), count))
    gaps = [(b - a) / NANOSECONDS for a, b in pairwise([0, *offsets])]
    mean = sum(gaps) / count
    variance = sum((gap - mean) ** 2 for gap in gaps) / count
    # Exponential with mean m: standard deviation m, and 1/e of the gaps are longer than m.
    assert mean == pytest.approx(0.01, rel=0.03)
    assert variance**0.5 == pytest.approx(0.01, rel=0.05)
    assert sum(gap > 0.01 for gap in gaps) / count == pytest.approx(0.3679, abs=0.01)


@settings(deadline=None)
@given(size=st.integers(1, 300), exponent=st.floats(0, 3), seed=seeds)
def test_zipf_draws_what_is_there(size: int, exponent: float, seed: int) -> None:
    law = Zipf(size=size, exponent=exponent)
    random = Random(seed)
    assert all(0 <= law.draw(random) < size for _ in range(50))
    assert sum(law.probability(rank) for rank in range(size)) == pytest.approx(1)


def test_zipf_draws_as_often_as_the_law_says() -> None:
    law = Zipf(size=100, exponent=1.0)
    random = Random(3)
    draws = [law.draw(random) for _ in range(50_000)]
    for rank in (0, 1, 9, 99):
        assert draws.count(rank) / len(draws) == pytest.approx(law.probability(rank), rel=0.15)
    assert law.probability(0) / law.probability(9) == pytest.approx(10)


@pytest.mark.parametrize(("size", "exponent", "named"), [(0, 1.0, "size 0"), (1, -0.5, "exponent -0.5")])
def test_zipf_refuses_what_is_no_law(size: int, exponent: float, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Zipf(size=size, exponent=exponent)


@settings(deadline=None)
@given(rank=st.integers(0, SAMPLE_SIZE - 1), seed=seeds)
def test_a_query_is_typed_from_words_of_its_term(rank: int, seed: int) -> None:
    description = load_terms()[rank].description
    words = typed_query(description, Random(seed)).split()
    known = significant_words(description)
    assert 1 <= len(words) <= 2
    assert all(word in known for word in words[:-1])
    assert any(word.startswith(words[-1]) for word in known)
    assert all(len(word) >= 3 for word in words)


def test_words_that_say_nothing_are_typed_only_where_there_are_no_others() -> None:
    assert significant_words("Other fracture of the femur, unspecified") == ["fracture", "femur"]
    assert significant_words("Other and unspecified") == ["other", "and", "unspecified"]
    assert "other" in STOP_WORDS
    assert significant_words("X-1") == ["disease"]


# The package reads its data in a way that Python has deprecated; that is not ours to mend.
@pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")
def test_the_sample_is_that_of_the_release() -> None:
    assert FILE.read_text(encoding="utf-8") == encode(sample(release_terms(), size=SAMPLE_SIZE))
    assert len({term.code for term in load_terms()}) == SAMPLE_SIZE
