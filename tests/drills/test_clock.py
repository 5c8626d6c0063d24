import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.clock import SAME_CLOCK, Ping, boot_id, estimate

delays = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=9)


@given(offset_ns=st.integers(-(2**50), 2**50), there_and_back=delays)
def test_the_true_offset_is_within_the_uncertainty(offset_ns: int, there_and_back: list[tuple[int, int]]) -> None:
    pings = [
        Ping(now, now + there + offset_ns, now + there + back)
        for now, (there, back) in enumerate(there_and_back, start=10**12)
    ]
    found = estimate(pings, same_kernel=False)
    assert abs(found.offset_ns - offset_ns) <= found.uncertainty_ns
    assert abs(found.likely(7) - (7 + offset_ns)) <= found.uncertainty_ns


def test_one_kernel_has_one_clock() -> None:
    assert estimate([Ping(10, 11, 12)], same_kernel=True) == SAME_CLOCK


def test_a_time_namespace_of_its_own_is_noticed() -> None:
    assert estimate([Ping(10, 1_000_011, 12)], same_kernel=True).offset_ns == 1_000_000


def test_without_a_ping_nothing_is_known() -> None:
    with pytest.raises(ValueError, match="round trip"):
        estimate([], same_kernel=True)


def test_the_kernel_says_which_run_of_it_this_is() -> None:
    assert len(boot_id()) == 36
