"""The circuit breaker against every order of calls, stragglers and trials."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.services.breaker import Breaker, Permit, State

FAILURES = 3
REST_SECONDS = 2.0


class BreakerMachine(RuleBasedStateMachine):
    """The model: a list of what became of the calls admitted since the last change of state."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(failures=FAILURES, rest_seconds=REST_SECONDS)
        self.state = State.CLOSED
        self.in_a_row = 0
        self.opened_at = 0.0
        self.current: list[Permit] = []
        self.stale: list[Permit] = []

    @initialize(opened=st.booleans())
    def begin(self, opened: bool) -> None:
        if opened:
            self.breaker.trip(self.now)
            self._enter(State.OPEN)

    def _enter(self, state: State) -> None:
        self.state = state
        self.in_a_row = 0
        self.stale += self.current
        self.current = []
        if state is State.OPEN:
            self.opened_at = self.now

    @rule(seconds=st.sampled_from([0.0, 0.5, REST_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_request_comes(self) -> None:
        permit = self.breaker.admit()
        assert (permit is not None) == (self.state is State.CLOSED)
        if permit is not None:
            self.current.append(permit)

    @rule()
    def the_watcher_comes(self) -> None:
        permit = self.breaker.try_again(self.now)
        if self.state is State.OPEN and self.now - self.opened_at >= REST_SECONDS:
            self._enter(State.HALF_OPEN)
            assert permit is not None
        else:
            assert (permit is not None) == (self.state is State.CLOSED)
        if permit is not None:
            self.current.append(permit)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def a_call_is_answered(self, data: st.DataObject) -> None:
        self.breaker.succeeded(self._ended(data))
        self.in_a_row = 0
        if self.state is State.HALF_OPEN:
            self._enter(State.CLOSED)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def a_call_fails(self, data: st.DataObject) -> None:
        self.breaker.failed(self._ended(data), self.now)
        self.in_a_row += 1
        if self.state is State.HALF_OPEN or self.in_a_row == FAILURES:
            self._enter(State.OPEN)

    @precondition(lambda self: self.current)
    @rule(data=st.data())
    def a_call_is_given_up(self, data: st.DataObject) -> None:
        self.breaker.dropped(self._ended(data))
        if self.state is State.HALF_OPEN:
            opened_at = self.opened_at
            self._enter(State.OPEN)
            self.opened_at = opened_at

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "failed", "dropped"]))
    def a_straggler_changes_nothing(self, data: st.DataObject, how: str) -> None:
        permit = data.draw(st.sampled_from(self.stale))
        if how == "succeeded":
            self.breaker.succeeded(permit)
        elif how == "failed":
            self.breaker.failed(permit, self.now)
        else:
            self.breaker.dropped(permit)

    @rule()
    def somebody_knows(self) -> None:
        self.breaker.trip(self.now)
        if self.state is not State.OPEN:
            self._enter(State.OPEN)

    @invariant()
    def they_agree(self) -> None:
        assert self.breaker.state is self.state
        if self.state is State.HALF_OPEN:
            assert len(self.current) == 1  # one trial, and nobody else

    def _ended(self, data: st.DataObject) -> Permit:
        permit = data.draw(st.sampled_from(self.current))
        self.current.remove(permit)
        return permit


TestBreaker = BreakerMachine.TestCase


@pytest.mark.parametrize(("failures", "rest_seconds"), [(0, 1.0), (1, -0.1)])
def test_a_breaker_that_makes_no_sense_is_refused(failures: int, rest_seconds: float) -> None:
    with pytest.raises(ValueError, match="at least"):
        Breaker(failures=failures, rest_seconds=rest_seconds)
