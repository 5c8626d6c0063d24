"""The invariant of the witnesses' core, through every interleaving of a small cluster; what is careless is caught."""

from typing import Any

import pytest

from tests.witness.careless import CARELESS
from tests.witness.explorer import CAREFUL, explore
from tests.witness.states import Budget
from witness.core import (
    Fence,
    Hold,
    Mark,
    Publish,
    Raise,
    Record,
    Release,
    Suspect,
    Sync,
    Take,
    Unhold,
    Vote,
    Withdraw,
    decide,
)

LEASE = Vote("a", "t1", "r1")
BOTH = Sync("7", "a", frozenset({"b", "c"}), 1, {"b": LEASE, "c": LEASE})
CAUGHT_IN_SECONDS = [
    name for name, (_, budget) in CARELESS.items() if not (budget.sync_steps or budget.crashes or budget.addresses)
]


def record(**changes: Any) -> Record:
    plain = Record("4", "a", "t1", "r1", {}, {}, BOTH, frozenset({"a", "b", "c"}))
    return plain._replace(**changes)


def test_nothing_is_lost_in_any_interleaving_of_a_small_cluster() -> None:
    found = explore(Budget(commits=1, renewals=0, terms=1, sync_steps=0, crashes=0), CAREFUL)
    assert found.trace == []
    # The exploration went all the way: a failover by votes, a withdrawal, and the old leader that comes back.
    assert {"b is promoted", "b's vote is withdrawn", "a takes the free key again"} <= found.seen_steps


@pytest.mark.parametrize("name", CAUGHT_IN_SECONDS)
def test_a_core_that_leaves_out_a_rule_is_caught(name: str) -> None:
    rules, budget = CARELESS[name]
    found = explore(budget, rules)
    assert any(step.endswith("is promoted") for step in found.trace)


def test_a_silent_leader_is_first_suspected_then_fenced_when_enough_agree() -> None:
    assert decide("b", record(), Fence(), suspects=True, gives_up=False) == Suspect("t1")
    one = record(suspects={"b": "t1"})
    assert decide("b", one, Fence(), suspects=True, gives_up=False) is None
    two = record(suspects={"b": "t1", "c": "t1"})
    assert decide("b", two, Fence(), suspects=True, gives_up=False) == Raise(LEASE)
    old = record(suspects={"b": "t1", "c": "t0"})
    assert decide("b", old, Fence(), suspects=True, gives_up=False) is None


def test_the_record_is_held_for_this_very_lease_before_a_fence() -> None:
    agreed = {"b": "t1", "c": "t1"}
    for holds in ({}, {"c": LEASE}, {"b": LEASE._replace(renewal="r0")}):
        found = decide(
            "b", record(suspects=agreed, sync=BOTH._replace(holds=holds)), Fence(), suspects=True, gives_up=False
        )
        assert found == Hold("7", LEASE)
    alone = BOTH._replace(voters=frozenset({"b"}), quorum=0, holds={})
    assert decide("b", record(suspects=agreed, sync=alone), Fence(), suspects=True, gives_up=False) is None


def test_the_record_is_let_go_once_the_standby_has_caught_up_or_another_leads() -> None:
    paid = Fence(caught_up=True)
    renewed = record(renewal="r2")
    assert decide("b", renewed, paid, suspects=False, gives_up=False) == Unhold("7")
    assert decide("b", renewed, Fence(), suspects=False, gives_up=False) is None
    assert decide("b", record(), paid, suspects=False, gives_up=False) is None  # a fence may still be raised for it
    assert decide("b", record(leader=None), paid, suspects=False, gives_up=False) is None
    anothers = record(leader="c", sync=BOTH._replace(leader="c"))
    assert decide("b", anothers, Fence(), suspects=False, gives_up=False) == Unhold("7")
    assert decide("b", record(leader="c"), Fence(), suspects=False, gives_up=False) is None  # still a's record
    assert decide("b", renewed._replace(sync=BOTH._replace(holds={})), paid, suspects=False, gives_up=False) is None


def test_a_vote_counts_only_where_the_record_is_held_for_it() -> None:
    marks = {"b": Mark(LEASE), "c": Mark(LEASE)}
    one = BOTH._replace(holds={"b": LEASE})
    fenced = Fence(LEASE, stopped=True)
    assert decide("b", record(marks=marks, sync=one), fenced, suspects=True, gives_up=False) is None


def test_a_vote_is_published_only_over_a_stopped_receiver_and_counted_only_for_the_same_renewal() -> None:
    latched = Fence(LEASE)
    assert decide("b", record(), latched, suspects=True, gives_up=False) == Raise(LEASE)
    fenced = Fence(LEASE, stopped=True)
    assert decide("b", record(), fenced, suspects=True, gives_up=False) == Publish("4", LEASE)
    counted = record(marks={"b": Mark(LEASE), "c": Mark(LEASE)})
    assert decide("b", counted, fenced, suspects=True, gives_up=False) == Take("4", "7", "a")
    stale = record(marks={"b": Mark(LEASE), "c": Mark(LEASE._replace(renewal="r0"))})
    assert decide("b", stale, fenced, suspects=True, gives_up=False) is None


@pytest.mark.parametrize("told", [True, False])
def test_while_the_key_is_free_a_fence_stays(told: bool) -> None:
    free = record(leader=None, marks={"b": Mark(LEASE)})
    fenced = Fence(LEASE, stopped=True, told=told)
    assert decide("b", free, fenced, suspects=False, gives_up=True) is None


def test_a_fence_ends_when_the_term_is_over_and_the_standby_told_or_the_leader_back() -> None:
    fenced = Fence(LEASE, stopped=True)
    other = record(leader="c", term="t2", renewal="r9")
    assert decide("b", other, fenced, suspects=True, gives_up=True) is None
    assert decide("b", other, fenced._replace(told=True), suspects=True, gives_up=True) == Release()
    own = record(leader="b", term="t2", renewal="r9")
    assert decide("b", own, fenced, suspects=True, gives_up=True) is None
    again = record(leader="a", term="t2", renewal="r9")
    assert decide("b", again, fenced, suspects=True, gives_up=False) == Release()


def test_a_renewal_voids_a_vote_and_a_withdrawal_stands_in_the_api_before_the_fence_ends() -> None:
    fenced = Fence(LEASE, stopped=True)
    assert decide("b", record(renewal="r2"), fenced, suspects=True, gives_up=False) == Release()
    assert decide("b", record(), fenced, suspects=False, gives_up=False) == Withdraw("4", LEASE)
    withdrawn = record(marks={"b": Mark(LEASE, withdrawn=True)}, suspects={"b": "t1", "c": "t1"})
    assert decide("b", withdrawn, fenced, suspects=True, gives_up=False) == Release()
    assert decide("b", withdrawn, Fence(), suspects=True, gives_up=False) is None


def test_the_votes_of_members_that_are_no_voters_do_not_count() -> None:
    fenced = Fence(LEASE, stopped=True)
    marks = {"b": Mark(LEASE), "d": Mark(LEASE)}
    assert decide("b", record(marks=marks), fenced, suspects=True, gives_up=False) is None
    alone = BOTH._replace(version="8", voters=frozenset({"b"}), quorum=0)
    assert decide("b", record(marks={"b": Mark(LEASE)}, sync=alone), fenced, suspects=True, gives_up=False) is None
    foreign = record(marks={"b": Mark(LEASE), "c": Mark(LEASE)}, sync=BOTH._replace(leader="c"))
    assert decide("b", foreign, fenced, suspects=True, gives_up=False) is None
