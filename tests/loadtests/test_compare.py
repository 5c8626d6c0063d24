"""The comparison of two builds: it finds what was planted, and nothing where nothing was, whatever the noise."""

from collections.abc import Iterator
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hms.evidence import LoadRun
from hms.load_compare import answer_to, compare_runs, comparison_lines, ratio_of
from loadtests.merging import merge_records
from loadtests.recorder import Recorder

RUNS = 4
BLOCKS = 5
RUN_NOISE = 0.02
BLOCK_NOISE = 0.05
seeds = st.integers(0, 2**32)


def build(random: Random, *, median_ms: float, noise: float = 1.0) -> list[list[float]]:
    """Return blocks by run: each run is off by a factor of its own, each block by another on top of that."""
    runs = []
    for _ in range(RUNS):
        of_run = random.lognormvariate(0, RUN_NOISE * noise)
        runs.append([median_ms * of_run * random.lognormvariate(0, BLOCK_NOISE * noise) for _ in range(BLOCKS)])
    return runs


def answer(old: list[list[float]], new: list[list[float]]) -> str:
    ratio, low, high = ratio_of(old, new)
    return answer_to(old, new, ratio=ratio, low=low, high=high)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, median_ms=st.floats(0.2, 500))
def test_two_runs_of_one_build_do_not_differ(seed: int, median_ms: float) -> None:
    random = Random(seed)
    old, new = (build(random, median_ms=median_ms) for _ in range(2))
    assert answer(old, new) in {"same", "unclear"}


@settings(deadline=None, max_examples=40)
@given(seed=seeds, median_ms=st.floats(0.2, 500))
def test_a_regression_of_a_fifth_is_found_and_its_mending_too(seed: int, median_ms: float) -> None:
    random = Random(seed)
    old, new = build(random, median_ms=median_ms), build(random, median_ms=median_ms * 1.2)
    assert answer(old, new) == "slower"
    assert answer(new, old) == "faster"


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_noise_that_could_hide_a_fifth_is_unclear_and_never_the_same(seed: int) -> None:
    random = Random(seed)
    old, new = (build(random, median_ms=10, noise=12) for _ in range(2))
    ratio, low, high = ratio_of(old, new)
    assert low <= ratio <= high
    assert answer_to(old, new, ratio=ratio, low=low, high=high) != "same" or high < 1.2


def test_too_few_runs_or_blocks_tell_nothing() -> None:
    slow = [[20.0] * 10]
    assert answer([[10.0] * 10], slow) == "unclear"
    assert answer([[10.0], [10.0]], [[20.0], [20.0]]) == "unclear"
    assert answer([[10.0] * 3] * 2, [[20.0] * 3] * 2) == "slower"


def recorded(seed: int, *, factor: float) -> LoadRun:
    """Return a run of 20 s in which an answer takes some 10 ms, as a worker records it."""
    random, recorder = Random(seed), Recorder()
    recorder.begin(origin_ns=0, window_seconds=1.0)
    for number in range(1000):
        due_ns = number * 20_000_000
        took_ns = round(factor * 10_000_000 * random.lognormvariate(0, 0.4))
        recorder.start(intended_ns=due_ns, started_ns=due_ns)
        recorder.finish("search", intended_ns=due_ns, started_ns=due_ns, ended_ns=due_ns + took_ns, failure="")
    record = recorder.record(streams_completed=1, cpu_fraction=0.1)
    return merge_records(
        [record], scenario="first", rate_per_second=50, duration_seconds=20, seed=seed, window_seconds=1.0
    )


def runs(first: int, *, factor: float = 1.0) -> Iterator[LoadRun]:
    return (recorded(seed, factor=factor) for seed in range(first, first + 3))


@pytest.mark.parametrize(("factor", "expected"), [(1.0, {"same"}), (1.2, {"slower"}), (1 / 1.2, {"faster"})])
def test_it_is_read_from_the_windows_of_the_runs(factor: float, expected: set[str]) -> None:
    found = compare_runs(runs(0), runs(10, factor=factor))
    assert {(one.operation, one.quantile) for one in found} == {("search", "p50"), ("search", "p95")}
    assert {one.answer for one in found} == expected
    assert comparison_lines(found)[0].startswith(f"{found[0].answer:<8} first at 50/s: search p50 ")


def test_other_loads_are_not_compared() -> None:
    other = msgspec.structs.replace(recorded(1, factor=1.0), rate_per_second=60.0)
    assert compare_runs(runs(0), [other]) == ()
