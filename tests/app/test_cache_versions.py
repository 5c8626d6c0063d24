"""No answer from before a change is found after it: the scripts on a real Redis, in every order of what can happen."""

from functools import partial
from typing import Any

import redis as redis_py
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from app.services import scripts
from app.services.tags import EVERYTHING, PREFIX, closure, position_of
from hms.bench.servers import Redis

TAGS = ("codes", "codes:a", "search", "release", EVERYTHING)
ANSWERS = {"one": ("codes:a",), "two": ("codes", "search"), "three": ()}
NAMES = sorted(ANSWERS)


class VersionsMachine(RuleBasedStateMachine):
    """What is kept is the state of the data when it was computed, so a find that is stale shows itself."""

    def __init__(self, client: "redis_py.Redis") -> None:
        super().__init__()
        self.client = client
        self.data = dict.fromkeys(TAGS, 0)
        self.raised: set[str] = set()
        self.computing: list[tuple[str, str, bytes, bytes]] = []
        self.tokens = 0
        self.saved: dict[bytes, bytes] = {}
        self.numbers: dict[str, int] = {}
        client.flushall()

    def _eval(self, script: scripts.Script, keys: list[str], *values: Any) -> Any:
        return self.client.eval(script.text, len(keys), *keys, *values)

    def _keys(self, name: str) -> tuple[str, str, list[str]]:
        return f"app:answer:{name}", f"app:lock:{name}", [PREFIX + tag for tag in closure(ANSWERS[name])]

    def _truth(self, name: str) -> bytes:
        return repr([self.data[tag] for tag in closure(ANSWERS[name])]).encode()

    @rule(tags=st.sets(st.sampled_from(TAGS), min_size=1))
    def the_data_changes_and_its_tags_are_raised(self, tags: set[str]) -> None:
        for tag in tags:
            self.data[tag] += 1
        self.raised |= tags
        self._eval(scripts.RAISE, [PREFIX + tag for tag in tags], 17)

    @rule(name=st.sampled_from(NAMES), anew=st.booleans())
    def a_computation_begins(self, name: str, anew: bool) -> None:
        answer, lock, tags = self._keys(name)
        self.tokens += 1
        token = str(self.tokens)
        stamp, kept, won = self._eval(scripts.CLAIM, [answer, lock, *tags], token, 60_000, int(anew))
        if kept is not None:
            assert kept == stamp + b"\n" + self._truth(name)
        elif won:
            self.computing.append((name, token, stamp, self._truth(name)))

    @precondition(lambda self: self.computing)
    @rule(data=st.data())
    def a_computation_ends(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.computing))
        self.computing.remove(one)
        name, token, stamp, body = one
        answer, lock, tags = self._keys(name)
        self._eval(scripts.KEEP, [answer, lock, *tags], token, stamp, 60_000, body)

    @precondition(lambda self: self.computing)
    @rule(data=st.data())
    def a_lock_runs_out(self, data: st.DataObject) -> None:
        self.client.delete(self._keys(data.draw(st.sampled_from(self.computing))[0])[1])

    @rule(tag=st.sampled_from(TAGS))
    def a_tag_is_lost(self, tag: str) -> None:
        self.client.delete(PREFIX + tag)

    @rule()
    def a_replica_receives_everything(self) -> None:
        self.saved = {bytes(key): bytes(self.client.dump(key) or b"") for key in self.client.scan_iter()}
        self.raised.clear()

    @rule()
    def the_replica_is_promoted(self) -> None:
        """Lose what came after; who raised tags since meets the new primary, and raises them again."""
        self.client.flushall()
        for key, dumped in self.saved.items():
            self.client.restore(key, 60_000 if b":lock:" in key else 0, dumped)
        if self.raised:
            self._eval(scripts.RAISE, [PREFIX + tag for tag in self.raised], 17)
        self.numbers.clear()

    @invariant()
    def what_is_found_is_true(self) -> None:
        for name in NAMES:
            answer, _, tags = self._keys(name)
            stamp, kept, _ = self._eval(scripts.LOOK_UP, [answer, *tags])
            assert kept is None or kept == stamp + b"\n" + self._truth(name)

    @invariant()
    def no_number_goes_back_and_no_tag_can_be_evicted(self) -> None:
        for tag in TAGS:
            version = self.client.get(PREFIX + tag)
            if version is not None:
                number = int(str(version, "ascii").partition("@")[0]) if isinstance(version, bytes) else 0
                assert number >= self.numbers.get(tag, 1_000_000)
                self.numbers[tag] = number
                assert self.client.ttl(PREFIX + tag) == -1


def test_no_answer_from_before_a_change_is_found_after_it(redis: Redis) -> None:
    with redis_py.Redis(port=redis.port) as client:
        machine: Any = partial(VersionsMachine, client)  # hypothesis types it as a class, and calls it
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
        client.flushall()


@given(st.lists(st.text("abc:", min_size=1, max_size=6), max_size=4))
def test_whoever_depends_on_something_depends_on_everything(tags: list[str]) -> None:
    found = closure(tags)
    assert EVERYTHING in found
    assert set(tags) <= set(found)
    assert found == tuple(sorted(set(found)))
    assert closure(found) == found


def test_a_family_and_what_it_depends_on_are_depended_on() -> None:
    assert closure(["codes:E11"]) == ("codes", "codes:E11", "everything", "release")
    assert closure(["of its own"]) == ("everything", "of its own")


@given(st.lists(st.tuples(st.integers(0, 2**52), st.integers(0, 2**52)), max_size=4))
def test_the_position_of_a_stamp_is_its_furthest(versions: list[tuple[int, int]]) -> None:
    stamp = ",".join(f"{number}@{position}" for number, position in versions)
    assert position_of(stamp) == max((position for _, position in versions), default=0)
