"""The schedule, the popularity and the queries: pure, so held to their definitions."""

import itertools
import math
import re
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hms.load_shape import LoadShape, Stage, parse_shape, steady
from loadtests.misspellings import extract, load_misspellings
from loadtests.popularity import Zipf
from loadtests.queries import STOP_WORDS, significant_words, typed_query
from loadtests.schedule import NANOSECONDS, Arrivals, offsets_ns
from loadtests.terms import FILE, SAMPLE_SIZE, encode, load_terms, release_terms, sample
from loadtests.typing_people import TypingPeople

rates = st.floats(min_value=0.5, max_value=5000)
seeds = st.integers(min_value=0, max_value=2**32)


stages = st.builds(
    Stage, seconds=st.floats(0.01, 5), start=st.floats(0, 20).filter(lambda x: x == 0 or x > 1e-3),
    end=st.floats(0, 20).filter(lambda x: x == 0 or x > 1e-3),
)  # fmt: skip
shapes = st.lists(stages, min_size=1, max_size=4).map(lambda found: LoadShape(tuple(found)))
kinds: st.SearchStrategy[Arrivals] = st.sampled_from(["poisson", "constant"])


def due(shape: LoadShape, *, rate: float, seed: int, arrivals: Arrivals = "poisson") -> list[float]:
    """Return the seconds of the first 3,000 arrivals."""
    found = offsets_ns(rate_per_second=rate, shape=shape, arrivals=arrivals, random=Random(seed))
    return [offset / NANOSECONDS for offset in islice(found, 3000)]


@settings(deadline=None)
@given(rate=rates, seed=seeds, shape=shapes, arrivals=kinds)
def test_arrivals_come_in_order_and_before_the_end(
    rate: float, seed: int, shape: LoadShape, arrivals: Arrivals
) -> None:
    offsets = due(shape, rate=rate, seed=seed, arrivals=arrivals)
    assert all(0 <= a <= b for a, b in pairwise(offsets))
    assert all(offset <= shape.seconds + 1e-6 for offset in offsets)


@settings(deadline=None)
@given(rate=rates, seed=seeds, arrivals=kinds)
def test_a_seed_gives_the_same_arrivals_however_long_the_run(rate: float, seed: int, arrivals: Arrivals) -> None:
    endless = due(steady(math.inf), rate=rate, seed=seed, arrivals=arrivals)
    bounded = due(steady(0.5), rate=rate, seed=seed, arrivals=arrivals)
    assert all(a == b for a, b in zip(bounded, endless, strict=False))


@settings(deadline=None)
@given(rate=rates, seed=seeds, shape=shapes)
def test_constant_arrivals_are_as_many_as_the_shape_asks_for(rate: float, seed: int, shape: LoadShape) -> None:
    arrivals = offsets_ns(rate_per_second=rate, shape=shape, arrivals="constant", random=Random(seed))
    count = sum(1 for _ in islice(arrivals, 20_000))
    assert abs(count - min(20_000, rate * shape.count)) <= 1 + 1e-6 * count


def test_constant_arrivals_are_evenly_spaced_at_the_rate_of_the_moment() -> None:
    offsets = due(parse_shape("1:2s, 4:1s"), rate=10, seed=1, arrivals="constant")
    gaps = [(a, b - a) for a, b in pairwise(offsets)]
    assert all(gap == pytest.approx(0.1, abs=1e-6) for at, gap in gaps if at + gap < 2)
    assert all(gap == pytest.approx(0.025, abs=1e-6) for at, gap in gaps if at > 2)


def test_a_ramp_and_a_spike_have_the_arrivals_of_their_rates() -> None:
    offsets = due(parse_shape("0-2:10s, 1:5s, 10:2s, 1:5s"), rate=40, seed=5)
    seen = [sum(a <= offset < b for offset in offsets) for a, b in ((0, 5), (5, 10), (10, 15), (15, 17), (17, 22))]
    # The mean of the ramp's halves is a half and three halves of the base rate; four standard deviations are chance.
    for count, expected in zip(seen, (100, 300, 200, 800, 200), strict=True):
        assert abs(count - expected) < 4 * expected**0.5


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("5", "stage '5': must be a multiple of the rate and a duration"),
        ("1:30", "stage '1:30'"),
        ("-1:30s", "stage '-1:30s'"),
        ("1:0s", "must last longer than 0 s"),
        ("1001:1s", "must be at most 1000 times the rate"),
        ("0:30s", "never has an arrival"),
        (",".join(["1:1s"] * 21), "has 21 stages: must have from 1 to 20"),
    ],
)
def test_a_shape_that_is_none_is_refused(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_shape(text)


def test_a_shape_knows_when_it_is_calm_again() -> None:
    assert parse_shape("1:30s, 1-10:10s, 10:5s, 1:60s").calm_after == 45
    assert parse_shape("1:30s, 10:5s").calm_after is None
    assert steady(30).calm_after is None


def test_gaps_are_those_of_a_poisson_process() -> None:
    count = 20_000
    found = offsets_ns(rate_per_second=100, shape=steady(math.inf), arrivals="poisson", random=Random(7))
    gaps = [(b - a) / NANOSECONDS for a, b in pairwise([0, *islice(found, count)])]
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


@settings(deadline=None)
@given(rank=st.integers(0, SAMPLE_SIZE - 1), seed=seeds)
def test_a_misspelt_query_has_one_word_that_its_term_has_not_and_begins_like_it(rank: int, seed: int) -> None:
    description = load_terms()[rank].description
    words = typed_query(description, Random(seed), misspelt_percent=100).split()
    known = significant_words(description)
    wrong = [word for word in words if word not in known]
    assert len(wrong) <= 1  # words of less than five letters stay, and doubling may swap two letters that are alike
    assert all(any(word[0] == right[0] for right in known) for word in wrong)


def test_as_many_queries_are_misspelt_as_is_said() -> None:
    term = "Puncture wound without foreign body of anus, sequela"
    known = {word[:n] for word in significant_words(term) for n in range(3, len(word) + 1)}
    random = Random(11)
    wrong = sum(
        any(word not in known for word in typed_query(term, random, misspelt_percent=20).split()) for _ in range(5000)
    )
    assert 0.12 < wrong / 5000 < 0.2  # a fifth, less the words of four letters


def test_real_misspellings_are_of_words_of_the_terms() -> None:
    words = {word for term in load_terms() for word in re.findall(r"[a-z]+", term.description.lower())}
    found = load_misspellings()
    assert len(found) > 600
    assert set(found) <= words
    assert extract(f"{wrong}->{right}" for right, others in found.items() for wrong in others) == "".join(
        "\t".join([right, *others]) + "\n" for right, others in found.items()
    )


@settings(deadline=None)
@given(seed=seeds, rate=st.floats(0.1, 400))
def test_people_type_letter_by_letter_and_their_letters_interleave(seed: int, rate: float) -> None:
    random = Random(seed)
    texts = iter(f"{first}diabetes mel{first}" for first in itertools.cycle("abcdefgh"))
    people = TypingPeople(lambda: next(texts), rate_per_second=rate, random=random)
    before = {""}
    for _ in range(200):
        text, whole = people.next_letter()
        assert len(text) == 2 or text[:-1] in before or text[:-2] in before
        assert not text.endswith(" ")
        assert whole == (len(text) == len("adiabetes mela"))
        before.add(text)


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
