"""Which member a read goes to, and how stale it may be: over all that can be known of the members."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.reader import Choice, Reader, choose
from app.db.wal import History, parse, spelled

READERS = st.builds(
    Reader,
    primary=st.just(False),
    staleness_seconds=st.sampled_from([0.0, 0.4, 1.0, 1.1, float("inf")]),
    position=st.integers(0, 5),
    reached=st.booleans(),
    parted=st.booleans(),
    load=st.integers(0, 2),
)
PRIMARY = st.builds(
    Reader,
    primary=st.just(True),
    staleness_seconds=st.just(0.0),
    position=st.integers(0, 5),
    reached=st.booleans(),
    parted=st.just(False),
    load=st.integers(0, 9),
)


@given(st.lists(READERS, max_size=3), st.none() | PRIMARY, st.booleans(), st.integers(0, 9))
def test_a_read_never_goes_where_it_could_see_less_than_it_needs(
    replicas: list[Reader], primary: Reader | None, fresh: bool, turn: int
) -> None:
    readers = dict(enumerate([*replicas, *([primary] if primary else [])]))
    found = choose(readers, most_stale_seconds=1.0, fresh=fresh, turn=turn)
    usable = {key for key, reader in readers.items() if not reader.primary and reader.reached and not reader.parted}
    near = {key for key in usable if readers[key].staleness_seconds <= 1.0}
    if found is None:
        assert primary is None
        assert not usable
        return
    key, choice = found
    match choice:
        case Choice.PRIMARY:
            assert readers[key].primary
            assert fresh or not near
        case Choice.REPLICA:
            assert key in near
            assert not (fresh and primary)
            assert readers[key].load == min(readers[other].load for other in near)
        case Choice.STALE:
            assert key in usable
            assert primary is None
            assert readers[key].position == max(readers[other].position for other in usable)


def test_replicas_that_are_equally_loaded_take_turns() -> None:
    reader = Reader(primary=False, staleness_seconds=0, position=1, reached=True, parted=False, load=1)
    found = [choose({"a": reader, "b": reader}, most_stale_seconds=1, fresh=False, turn=turn) for turn in range(4)]
    assert [choice[0] for choice in found if choice] == ["a", "b", "a", "b"]


@given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 3)), min_size=1, max_size=20), st.integers(0, 60))
def test_a_member_is_never_held_for_fresher_than_it_is(steps: list[tuple[float, int]], position: int) -> None:
    """The log only grows: who is at `position` lacks nothing that was there while the log was no longer."""
    history, now, written = History(samples=8), 0.0, 0
    true_at = 0.0 if position >= written else None
    for seconds, more in steps:
        now += seconds
        written += more
        history.add(now, written)
        if written <= position:
            true_at = now
    staleness = history.staleness(position, now)
    if true_at is None:
        assert staleness == float("inf")
    else:
        assert staleness >= now - true_at - 1e-9
    assert history.staleness(written, now) == 0


def test_an_idle_primary_makes_nobody_stale() -> None:
    history = History(samples=4)
    for second in range(100):
        history.add(float(second), 7)
    assert history.staleness(7, 99.2) == pytest.approx(0.2)


def test_a_member_ahead_of_where_the_primary_was_later_is_of_another_log() -> None:
    history = History(samples=4)
    history.add(1.0, 100)
    assert not history.is_beyond(120, seen_at=1.5)  # seen after: the primary may have written since
    history.add(2.0, 110)
    assert history.is_beyond(120, seen_at=1.5)
    assert not history.is_beyond(110, seen_at=1.5)


def test_a_primary_that_is_behind_the_one_before_begins_a_new_history() -> None:
    history = History(samples=4)
    history.add(1.0, 100)
    history.add(2.0, 50)
    assert history.staleness(60, 2.0) == 0
    assert history.newest == 50


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_read_as_it_is_written(position: int) -> None:
    assert parse(spelled(position)) == position


@pytest.mark.parametrize("text", ["", "16", "16/", "/1", "g/1", "123456789/0", "1/2/3", "16/b374d848"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a position"):
        parse(text)
