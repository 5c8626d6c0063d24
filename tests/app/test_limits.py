"""The decision on a request: its invariants, and that the script inside Redis decides the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import redis as redis_client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.limits import DEFAULT_LIMITS, WIDTHS_US, Decision, Limits, State, decide
from app.middleware.rate_limiter import DECIDE
from app.settings import from_environment
from hms.bench.servers import Redis

START_US = 1_800_000_000_000_000

limits = st.builds(
    Limits, per_minute=st.integers(1, 70), per_hour=st.integers(1, 200), burst=st.integers(1, 40)
) | st.just(Limits(10_000, 200_000, 1_000))

pauses_us = st.one_of(
    st.just(0),
    st.integers(1, 1_500_000),
    st.sampled_from([WIDTHS_US[0], 60_000_000, WIDTHS_US[1], 3_600_000_000, 3_720_000_000]),
    st.integers(0, 4_000_000_000),
)

steps_back_us = st.integers(-7_200_000_000, -1)


def passed(limit: Limits, pauses: list[int]) -> list[int]:
    """Return the times at which requests pass that come after these pauses."""
    state, now, times = State(), START_US, []
    for pause in pauses:
        now += pause
        state, decision = decide(state, limit, now)
        if decision.allowed:
            times.append(now)
    return times


def test_the_limits_of_the_tiers() -> None:
    """Requests a minute, an hour, and at once, as the design has them; the last tier is the stack's own."""
    wanted = {
        "anonymous": (60, 1_000, 10),
        "authenticated": (200, 5_000, 50),
        "premium": (1_000, 20_000, 200),
        "enterprise": (10_000, 200_000, 1_000),
        "internal": (1_000_000, 60_000_000, 100_000),
    }
    by_default = from_environment({"HMS_POSTGRES_HOSTS": "one:1"}).protection.limits
    assert by_default is not None
    for limits_of in (DEFAULT_LIMITS, by_default):
        found = {tier.value: (each.per_minute, each.per_hour, each.burst) for tier, each in limits_of.items()}
        assert found == wanted


@settings(max_examples=150, deadline=None)
@given(limits, st.lists(pauses_us, min_size=1, max_size=150))
def test_no_span_of_a_window_has_more_than_its_limit(limit: Limits, pauses: list[int]) -> None:
    times = passed(limit, pauses)
    for span_us, most in ((60_000_000, limit.per_minute), (3_600_000_000, limit.per_hour)):
        for first, time in enumerate(times):
            assert sum(time <= other < time + span_us for other in times[first : first + most + 1]) <= most


@settings(max_examples=150, deadline=None)
@given(limits, st.lists(pauses_us, min_size=1, max_size=60))
def test_a_bucket_lets_its_burst_through_and_then_its_rate(limit: Limits, pauses: list[int]) -> None:
    times = passed(limit, pauses)
    for first, time in enumerate(times):
        for count, later in enumerate(times[first:], 1):
            assert count <= limit.burst + (later - time) // limit.interval_us


@settings(max_examples=200, deadline=None)
@given(limits, st.lists(pauses_us, min_size=1, max_size=80))
def test_a_refusal_costs_nothing_and_its_wait_is_exact(limit: Limits, pauses: list[int]) -> None:
    state, now = State(), START_US
    for pause in pauses:
        now += pause
        before = state
        state, decision = decide(state, limit, now)
        if decision.allowed:
            assert decision.remaining >= (0, 0, 0)
            continue
        again, _ = decide(before, limit, now)
        assert again == state
        assert decide(state, limit, now + decision.retry_after_us)[1].allowed
        assert not decide(state, limit, now + decision.retry_after_us - 1)[1].allowed


@settings(max_examples=100, deadline=None)
@given(limits, st.lists(pauses_us, min_size=1, max_size=40), steps_back_us)
def test_a_clock_that_goes_back_neither_opens_nor_closes(limit: Limits, pauses: list[int], back_us: int) -> None:
    state, now = State(), START_US
    for pause in pauses:
        now += pause
        state, _ = decide(state, limit, now)
    held = decide(state, limit, now)[1]
    state, after = decide(state, limit, now + back_us)
    if not held.allowed:
        assert not after.allowed  # what was spent is still spent
    assert after.retry_after_us <= 3_600_000_000 + WIDTHS_US[1]
    if not after.allowed:
        assert decide(state, limit, now + back_us + after.retry_after_us)[1].allowed


@pytest.fixture(scope="module")
def client(redis: Redis) -> Iterator["redis_client.Redis"]:
    with redis_client.Redis(port=redis.port) as connected:
        yield connected


@contextmanager
def fresh_key(client: "redis_client.Redis") -> Iterator[str]:
    key = f"app:test:{uuid4()}"
    yield key
    client.delete(key)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits, st.lists(pauses_us | steps_back_us, min_size=1, max_size=60))
def test_the_script_decides_what_the_model_decides(
    client: "redis_client.Redis", limit: Limits, pauses: list[int]
) -> None:
    script = client.register_script("local now = tonumber(ARGV[5])\n" + DECIDE)
    state, now = State(), START_US
    with fresh_key(client) as key:
        for pause in pauses:
            now += pause
            state, decision = decide(state, limit, now)
            answer = script(keys=[key], args=[limit.burst, limit.interval_us, limit.per_minute, limit.per_hour, now])
            assert Decision.of(answer) == decision


def test_the_shares_of_the_instances_are_no_more_than_the_whole_and_never_nothing() -> None:
    assert Limits(60, 1_000, 10).share(3) == Limits(20, 333, 3)
    assert Limits(1, 2, 1).share(3) == Limits(1, 1, 1)
