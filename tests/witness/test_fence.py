"""The fence on a real primary and its standby: what it holds, what ends it, and what a crash does not end."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.drills.engines import as_postgres, postgres_folder, postgres_tool, until
from tests.witness.pair import LATCH_WAIT, OTHER, PRIMARY, THIRD, VOTE, Pair
from witness.core import Fence, Vote
from witness.fence import LATCH
from witness.processes import is_told_to_end

pytestmark = pytest.mark.fault


@pytest.fixture
def pair() -> Iterator[Pair]:
    with postgres_folder() as folder:
        made = Pair(folder)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def test_without_the_leaders_address_there_is_no_fence_which_nothing_could_end(pair: Pair) -> None:
    assert not asyncio.run(pair.standby.fence(VOTE, ""))
    assert pair.look() == Fence()
    assert pair.commits()


def test_a_fenced_standby_confirms_nothing_and_goes_on_when_released(pair: Pair) -> None:
    assert pair.look() == Fence()
    pair.until_fenced()
    assert pair.look() == Fence(VOTE, stopped=True, told=False)
    assert not pair.commits()
    pair.standby.release()
    assert pair.look() == Fence()
    assert pair.commits()


def test_a_promotion_tells_the_stopped_receiver_to_end_and_waits_for_it(pair: Pair) -> None:
    pair.until_fenced()
    as_postgres([postgres_tool("pg_ctl"), "promote", "-W", "-D", str(pair.replica.data)])
    until(lambda: pair.look(term="term 2", leads=True).told, "a promotion is not seen")
    assert pair.in_recovery()
    pair.standby.release()
    until(lambda: not pair.in_recovery(), "it is not promoted")
    assert pair.receivers() == []
    assert not pair.commits()


def test_a_standby_that_shall_follow_another_is_told_and_confirms_nothing_to_the_old_one(pair: Pair) -> None:
    pair.until_fenced()
    pair.follow(OTHER)
    until(lambda: pair.look(term="term 2").told, "the receiver is not told")
    assert not pair.look().told, "told within the term"
    assert not pair.look(term="term 2", address=THIRD).told, "told by another's address than the leader's"
    assert not pair.look(term="term 2", address="").told, "told though nobody knows where the leader answers"
    pair.standby.release()
    assert not pair.commits()


def test_a_receiver_that_has_to_end_tells_nothing_of_the_next_one(pair: Pair) -> None:
    """A Patroni that loses the old leader's address and finds it again, as when its pod is deleted, ends it as well."""
    pair.until_fenced()
    pair.follow("")
    until(lambda: is_told_to_end(pair.receivers()[0]), "nothing is pending on the receiver")
    assert not pair.look(term="term 2").told
    assert not pair.look(term="term 2", leads=True).told, "no promotion was asked for"
    pair.follow(PRIMARY)
    pair.until_loaded(PRIMARY)
    assert not pair.look(term="term 2").told
    assert not pair.look(term="term 2", address=PRIMARY).told, "the latched leader's own address"
    assert not pair.commits()
    # What a release would do now: the receiver ends, the next one streams from the old leader.
    pair.standby.release()
    until(pair.commits, "it does not stream again")


def test_a_server_that_stops_is_not_kept_by_its_fence(pair: Pair) -> None:
    pair.until_fenced()
    pair.follow(OTHER)
    os.kill(pair.postmaster(), signal.SIGINT)
    until(lambda: pair.look(term="term 2").latch == VOTE and pair.replica.has_ended(), "it does not stop")
    assert pair.receivers() == []
    assert not pair.commits()


def test_a_receiver_that_is_gone_is_followed_by_none_while_the_latch_is_there(pair: Pair) -> None:
    pair.until_fenced()
    (receiver,) = pair.receivers()
    os.kill(receiver, signal.SIGTERM)
    os.kill(receiver, signal.SIGCONT)
    until(lambda: pair.receivers() != [receiver] and pair.look().stopped, "nobody waits at the latch")
    assert pair.receivers() == []
    assert not pair.commits()
    # The term is over and another leads: only once the server has loaded that is it told.
    assert not pair.look(term="term 2").told
    pair.follow(OTHER)
    until(lambda: pair.look(term="term 2").told, "a loaded configuration is not seen")


def test_a_server_that_recovers_behind_the_latch_is_started_again_where_nobody_can_ask_it(pair: Pair) -> None:
    pair.until_fenced()
    pair.replica.kill()
    until(lambda: pair.look().latch == VOTE and pair.receivers() == [], "a dead server's receiver stays")
    pair.follow_file(OTHER)
    pair.start_replica_behind_the_latch()
    until(lambda: pair.look().stopped, "the startup process does not wait at the latch")
    # It was started after the file named another, but before that was seen here: it could be the old one's.
    until(lambda: "restart" in pair.said or pair.look(term="term 2").told, "it is neither told nor stopped")
    if "restart" in pair.said:
        until(pair.replica.has_ended, "it does not stop")
        pair.start_replica_behind_the_latch()
        until(lambda: pair.look(term="term 2").told, "a restart is not seen")
    pair.standby.release()
    until(pair.replica.answers, "it does not recover")


def test_a_fence_outlives_its_witness(pair: Pair) -> None:
    pair.until_fenced()
    pair.standby = pair.witnessed()
    assert pair.look() == Fence(VOTE, stopped=True, told=False)
    assert pair.standby.latch == VOTE


def test_a_latch_that_cannot_be_read_is_for_nothing_and_holds(pair: Pair) -> None:
    (pair.home / LATCH).write_text("half a v")
    assert pair.standby.latch == Vote("", "", "")


def test_who_rewinds_does_not_wait_at_the_latch(pair: Pair) -> None:
    pair.until_fenced()
    environment = {**os.environ, "WITNESS_HOME": str(pair.home)}
    assert subprocess.run([LATCH_WAIT], env=environment, timeout=10, check=False).returncode == 1
