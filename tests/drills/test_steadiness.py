import pytest

from drills.feed import Feed
from drills.steadiness import not_steady_because
from drills.wire import Message
from tests.drills.states import postgres_state, redis_state, started, state, status


def why(*messages: Message) -> str:
    feed = Feed()
    for message in messages:
        feed.add(message)
    return not_steady_because(feed, "t-1", 2)


def test_steady_is_two_seconds_of_everything_in_order() -> None:
    assert why(started(9), state(10), status(12), status(12, "redis"), state(12)) == ""


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([started(9), status(12)], "the observer has said nothing yet"),
        ([started(9), state(10), state(11, postgres=postgres_state(steady=False))], "no member leads"),
        (
            [state(1, postgres=postgres_state(steady=False), redis=redis_state(steady=False))],
            "no member leads; no node is master",
        ),
        ([started(9), state(10), status(12), state(12)], "1 of 2 writers write"),
        ([started(9), state(10), status(12), status(12, "redis", trial="t-0"), state(12)], "1 of 2 writers write"),
        ([state(10), status(12), status(12, "redis"), state(12)], "2 of 2 writers write"),
        ([started(9), state(10.5), status(12), status(12, "redis"), state(12)], "steady for 1.5 s of 2 s"),
        ([started(11), state(10), status(12), status(12, "redis"), state(12)], "steady for 1.0 s of 2 s"),
        (
            [started(9), state(10), status(12, failed_at=11.5), status(12, "redis"), state(12)],
            "steady for 0.5 s of 2 s",
        ),
        ([started(9), state(10), status(12.5), status(12.5, "redis")], "silent: the observer"),
        ([started(9), state(10), status(9.9), status(12, "redis"), state(12)], "silent: writer postgres"),
        (
            [started(9), state(10), status(12, acknowledged_at=10.9), status(12, "redis"), state(12)],
            "writer postgres: nothing acknowledged of late",
        ),
    ],
)
def test_anything_less_is_not(messages: list[Message], reason: str) -> None:
    assert why(*messages) == reason
