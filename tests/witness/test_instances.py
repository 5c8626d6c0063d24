"""Who is marked as not ready, from what the witnesses say: never the last, never on the word of a few."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from witness.instances import Instance, instance_of, mark_of, opinion, opinions, to_mark

MEMBERS = frozenset({"postgres-0", "postgres-1", "postgres-2"})
POD: dict[str, dict[str, Any]] = {
    "metadata": {"name": "app-a", "uid": "u-a"},
    "status": {"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]},
}


def instances(*ready: bool) -> dict[str, Instance]:
    return {f"u-{n}": Instance(f"app-{n}", f"u-{n}", f"10.0.0.{n}", one) for n, one in enumerate(ready)}


def said(**by: str) -> dict[str, frozenset[str]]:
    return {name.replace("_", "-"): frozenset(value.split()) for name, value in by.items()}


def test_what_a_pod_says_of_itself() -> None:
    assert instance_of(POD) == Instance("app-a", "u-a", "10.0.0.7", True)
    leaving = {**POD, "metadata": {**POD["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert not instance_of(leaving).ready
    assert instance_of({"metadata": POD["metadata"]}) == Instance("app-a", "u-a", "", False)


def test_two_of_three_are_enough_and_one_is_not() -> None:
    three = instances(True, True, True)
    assert to_mark(three, said(postgres_0="u-1"), MEMBERS) == ()
    assert to_mark(three, said(postgres_0="u-1", postgres_2="u-1 u-2"), MEMBERS) == (three["u-1"],)


def test_who_is_no_member_has_no_say() -> None:
    assert to_mark(instances(True, True), said(postgres_0="u-1", postgres_9="u-1", somebody="u-1"), MEMBERS) == ()


def test_the_last_that_is_ready_stays() -> None:
    assert to_mark(instances(True), said(postgres_0="u-0", postgres_1="u-0"), MEMBERS) == ()
    assert to_mark(instances(True, False), said(postgres_0="u-0", postgres_1="u-0"), MEMBERS) == ()
    everyone = said(postgres_0="u-0 u-1", postgres_1="u-0 u-1", postgres_2="u-0 u-1")
    assert to_mark(instances(True, True), everyone, MEMBERS) == ()


@given(
    st.lists(st.booleans(), max_size=5),
    st.dictionaries(
        st.sampled_from(["postgres-0", "postgres-1", "postgres-2", "postgres-7"]),
        st.frozensets(st.integers(0, 6).map(lambda n: f"u-{n}")),
    ),
)
def test_whatever_is_said_a_ready_one_is_left_and_only_ready_ones_are_marked(
    ready: list[bool], by: dict[str, frozenset[str]]
) -> None:
    known = instances(*ready)
    marked = to_mark(known, by, MEMBERS)
    assert all(one.ready and known[one.uid] == one for one in marked)
    assert not marked or sum(ready) > len(marked)
    for one in marked:
        assert sum(one.uid in by.get(member, ()) for member in MEMBERS) >= 2


def test_an_opinion_is_read_as_it_was_written() -> None:
    name, body = opinion("postgres-1", frozenset({"u-2", "u-1"}), "postgres")
    assert name == "postgres-config"
    assert opinions(body) == {"postgres-1": frozenset({"u-1", "u-2"})}
    notes = opinion("postgres-1", frozenset(), "postgres").body["metadata"]["annotations"]
    assert notes == {"witness.hms/silent-postgres-1": None}


def test_a_mark_says_only_that_it_is_not_ready_and_since_when() -> None:
    (condition,) = mark_of(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Ready", "False")
    assert condition["lastTransitionTime"] == "2026-01-02T03:04:05Z"
