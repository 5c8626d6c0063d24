import pytest
from hypothesis import given
from hypothesis import strategies as st

from drills.openloop import NANOSECONDS, Schedule


@given(start_ns=st.integers(0, 2**62), rate=st.floats(0.1, 10_000), index=st.integers(0, 1_000_000))
def test_arrivals_come_at_the_rate_whatever_happened_before(start_ns: int, rate: float, index: int) -> None:
    schedule = Schedule(start_ns, rate)
    assert schedule.due_ns(0) == start_ns
    assert abs(schedule.due_ns(index) - start_ns - index * NANOSECONDS / rate) <= 1 + index * NANOSECONDS / rate * 1e-9
    assert schedule.due_ns(index) <= schedule.due_ns(index + 1)


@pytest.mark.parametrize("rate", [0, -1, 10_001, float("nan")])
def test_a_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate_per_second"):
        Schedule(0, rate)
