import threading

from drills.feed import Deduplicator, Feed, Follower
from drills.wire import Effective, Failed, Message, Seen, encode
from tests.drills.states import postgres_state, state, status


def test_steadiness_begins_anew_after_each_break() -> None:
    feed = Feed()
    feed.add(state(1))
    feed.add(state(2))
    assert feed.steady_since_ns == 1_000_000_000
    feed.add(state(3, postgres=postgres_state(steady=False)))
    assert feed.steady_since_ns == 0
    feed.add(state(4))
    assert feed.steady_since_ns == 4_000_000_000
    assert feed.unsteady_between(0, 2_999_999_999) == ""
    assert feed.unsteady_between(0, 3_000_000_000) == "no member leads"


def test_a_waiter_gets_what_another_thread_adds() -> None:
    feed = Feed()
    adder = threading.Thread(target=feed.add, args=(Failed(at_ns=1, reason="full"),))
    adder.start()
    assert feed.wait(lambda feed: feed.failures or None, 10) == ["full"]
    adder.join()


def test_time_is_up() -> None:
    assert Feed().wait(lambda feed: feed.state, 0.01) is None


def test_events_are_in_order_of_time_and_timers_add_up() -> None:
    feed = Feed()
    for at_ns in (30, 10, 20, 99):
        feed.add(Seen(at_ns=at_ns, source="sentinel", what=str(at_ns)))
    assert [seen.at_ns for seen in feed.events_between(10, 30)] == [10, 20, 30]
    feed.add(Effective(at_ns=1, values={"a": "1", "b": "1"}))
    feed.add(Effective(at_ns=2, values={"b": "2"}))
    assert feed.effective == {"a": "1", "b": "2"}


def test_a_log_that_is_read_again_from_its_beginning_is_told_once() -> None:
    told: list[Message] = []
    log: list[Message] = [
        Seen(at_ns=5, source="s", what="one"),
        Seen(at_ns=5, source="s", what="two"),
        Failed(at_ns=6, reason="x"),
    ]
    pipe = Deduplicator(told.append)
    for lines in (log[:2], log, [*log, status(1)]):
        pipe.line(b"RuntimeWarning: not ours\n")
        for message in lines:
            pipe.line(encode(message))
    assert told == [*log, status(1)]


def test_a_follower_starts_its_command_again_and_ends_with_it() -> None:
    lines: list[bytes] = []
    twice = threading.Event()

    def take(line: bytes) -> None:
        lines.append(line)
        if len(lines) == 2:
            twice.set()

    follower = Follower(["sh", "-c", "echo here; exec sleep 0.01"], take, name="test")
    assert twice.wait(10)
    follower.close()
    assert set(lines) == {b"here\n"}
