"""How long an answer is kept, and when it is computed anew before its time."""

from hypothesis import given
from hypothesis import strategies as st

from app.services.freshness import is_due_early, jittered_ms


@given(st.floats(0.001, 86_400), st.floats(0, 1))
def test_the_time_to_live_is_within_a_tenth(ttl_seconds: float, chance: float) -> None:
    found = jittered_ms(ttl_seconds, chance)
    assert found >= 1
    assert ttl_seconds * 900 - 1 <= found <= max(1, ttl_seconds * 1000 + 1)


@given(st.floats(0, 1e5), st.floats(0, 1e4), st.floats(1e-9, 1))
def test_an_early_computation_is_likelier_the_dearer_and_the_nearer_its_end(
    left_ms: float, cost_ms: float, chance: float
) -> None:
    if is_due_early(left_ms=left_ms, cost_ms=cost_ms, chance=chance):
        assert is_due_early(left_ms=left_ms / 2, cost_ms=cost_ms, chance=chance)
        assert is_due_early(left_ms=left_ms, cost_ms=cost_ms * 2, chance=chance)
    assert is_due_early(left_ms=0, cost_ms=cost_ms, chance=chance)
