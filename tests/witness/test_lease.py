"""When a lease counts as stale, and what makes the count begin anew."""

import pytest

from witness.core import Vote
from witness.lease import Lease

LEASE = Vote("postgres-0", "t1", "r1")


def stale() -> Lease:
    lease = Lease(3)
    for _ in range(4):
        lease.tick(LEASE, was_read=True)
    return lease


def test_it_takes_so_many_ticks_in_which_it_was_read_and_stood() -> None:
    lease = Lease(3)
    for _ in range(3):
        lease.tick(LEASE, was_read=True)
        assert not lease.is_stale(LEASE)
    lease.tick(LEASE, was_read=True)
    assert lease.is_stale(LEASE)
    assert not lease.is_stale(Vote("postgres-0", "t1", "r2"))
    assert not lease.is_stale(None)


@pytest.mark.parametrize(
    ("now", "was_read"),
    [(Vote("postgres-0", "t1", "r2"), True), (None, True), (LEASE, False), (Vote("postgres-1", "t2", "r1"), True)],
    ids=["renewed", "free", "not read", "another"],
)
def test_the_count_begins_anew(now: Vote | None, was_read: bool) -> None:
    lease = stale()
    lease.tick(now, was_read=was_read)
    assert not lease.is_stale(LEASE)
    assert not lease.is_stale(now)


def test_a_patroni_that_answers_is_left_alone() -> None:
    lease = stale()
    lease.patroni_answered()
    assert not lease.is_stale(LEASE)
