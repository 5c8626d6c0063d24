"""What the API's objects say, and what an action writes there."""

import json
from typing import Any

import pytest

from witness.core import (
    Action,
    Clear,
    Hold,
    Mark,
    Publish,
    Raise,
    Release,
    Suspect,
    Sync,
    Take,
    Unhold,
    Vote,
    Withdraw,
)
from witness.record import (
    decode_vote,
    encode_vote,
    is_paused,
    leader_address,
    leader_pod,
    patch_of,
    read_record,
    seal_of,
    unasked,
)

MEMBERS = frozenset({"postgres-0", "postgres-1", "postgres-2"})
VOTE = Vote("postgres-0", "2026-11-26T08:00:00.1+00:00", "2026-11-26T09:00:00.2+00:00")


def thing(version: str, subsets: object = None, **annotations: str) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "annotations": annotations}, "subsets": subsets}


def leader(**annotations: str) -> dict[str, Any]:
    written = {"leader": VOTE.leader, "acquireTime": VOTE.term, "renewTime": VOTE.renewal, "optime": "1"}
    made = thing("41", [{"addresses": [{"ip": "10.0.0.7"}], "ports": []}])
    made["metadata"]["annotations"] = {**written, **annotations}
    return made


SYNC = thing("40", leader="postgres-0", sync_standby="postgres-1,postgres-2", quorum="1")


def test_a_record_is_what_patroni_and_the_witnesses_wrote() -> None:
    votes = {
        "witness.hms/vote-postgres-1": encode_vote(VOTE),
        "witness.hms/vote-postgres-2": encode_vote(VOTE, withdrawn=True),
    }
    config = thing("39", config="{}", **{"witness.hms/suspects-postgres-2": VOTE.term})
    found = read_record(leader(**votes), SYNC, config, MEMBERS)
    assert (found.version, found.leader, found.lease) == ("41", "postgres-0", VOTE)
    assert found.suspects == {"postgres-2": VOTE.term}
    assert found.marks == {"postgres-1": Mark(VOTE), "postgres-2": Mark(VOTE, withdrawn=True)}
    assert found.sync == Sync("40", "postgres-0", frozenset({"postgres-1", "postgres-2"}), 1, {})


def test_who_holds_the_record_is_read_from_the_record_itself() -> None:
    notes = {"witness.hms/hold-postgres-1": encode_vote(VOTE), "witness.hms/hold-postgres-2": "{"}
    held = thing("40", leader="postgres-0", sync_standby="postgres-1,postgres-2", quorum="1", **notes)
    assert read_record(leader(), held, {}, MEMBERS).sync.holds == {"postgres-1": VOTE}


def test_a_free_key_is_nobodys_and_its_last_term_is_kept() -> None:
    free = leader()
    del free["metadata"]["annotations"]["leader"]
    found = read_record(free, SYNC, {}, MEMBERS)
    assert (found.leader, found.lease, found.term) == (None, None, VOTE.term)


@pytest.mark.parametrize("quorum", [{}, {"quorum": "many"}, {"quorum": ""}])
def test_without_a_quorum_no_votes_are_enough(quorum: dict[str, str]) -> None:
    sync = thing("40", leader="postgres-0", sync_standby="postgres-1,postgres-2", **quorum)
    assert read_record(leader(), sync, {}, MEMBERS).sync.quorum == len(MEMBERS)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"leader": "a"}', "null"])
def test_a_vote_that_cannot_be_read_is_none(text: str) -> None:
    assert decode_vote(text) is None
    assert read_record(leader(**{"witness.hms/vote-postgres-1": text}), SYNC, {}, MEMBERS).marks == {}


def test_an_object_without_annotations_or_addresses_says_nothing() -> None:
    empty = {"metadata": {"resourceVersion": "1"}, "subsets": None}
    assert read_record(empty, empty, empty, MEMBERS).leader is None
    assert leader_address(empty) == ""
    assert leader_address(leader()) == "10.0.0.7"


def test_a_write_names_the_version_that_it_was_decided_on() -> None:
    vote_key, hold_key = "witness.hms/vote-postgres-1", "witness.hms/hold-postgres-1"
    written: tuple[tuple[Action, str, str, str | None], ...] = (
        (Publish("41", VOTE), "postgres", vote_key, encode_vote(VOTE)),
        (Withdraw("41", VOTE), "postgres", vote_key, encode_vote(VOTE, withdrawn=True)),
        (Hold("41", VOTE), "postgres-sync", hold_key, encode_vote(VOTE)),
        (Unhold("41"), "postgres-sync", hold_key, None),
    )
    for action, where, key, value in written:
        name, body = patch_of(action, "postgres-1", "postgres")
        assert name == where
        assert body == {"metadata": {"resourceVersion": "41", "annotations": {key: value}}}


def test_a_suspicion_is_written_where_no_leader_s_renewal_can_meet_it() -> None:
    key = "witness.hms/suspects-postgres-1"
    for action, value in ((Suspect(VOTE.term), VOTE.term), (Clear(), None)):
        name, body = patch_of(action, "postgres-1", "postgres")
        assert (name, body) == ("postgres-config", {"metadata": {"annotations": {key: value}}})


def test_a_take_frees_the_key_as_patroni_does_after_a_seal_of_the_sync_object() -> None:
    take = Take("41", "40", "postgres-0")
    name, body = patch_of(take, "postgres-1", "postgres")
    assert (name, body["subsets"]) == ("postgres", [])
    assert body["metadata"] == {"resourceVersion": "41", "annotations": {"leader": None, "failsafe": None}}
    name, body = seal_of(take, "postgres", "once")
    assert (name, body["metadata"]["resourceVersion"]) == ("postgres-sync", "40")
    assert json.dumps(body) != json.dumps(seal_of(take, "postgres", "twice").body)


@pytest.mark.parametrize("action", [Raise(VOTE), Release()])
def test_what_is_done_on_the_standby_writes_nothing(action: Raise | Release) -> None:
    with pytest.raises(ValueError, match="writes nothing"):
        patch_of(action, "postgres-1", "postgres")


def test_a_silent_leader_is_not_asked_by_the_race_and_can_still_be_followed() -> None:
    status = {"conn_url": "postgres://10.0.0.7:5432/postgres", "api_url": "http://10.0.0.7:8008/patroni", "timeline": 3}
    patch = unasked(thing("77", status=json.dumps(status)))
    assert patch is not None
    assert patch["metadata"]["resourceVersion"] == "77"
    left = json.loads(patch["metadata"]["annotations"]["status"])
    assert left == {"conn_url": status["conn_url"], "timeline": 3}
    assert unasked(thing("78", status=json.dumps(left))) is None


@pytest.mark.parametrize("status", ["", "{", "[]", "7", "null"])
def test_a_status_that_cannot_be_read_is_left_alone(status: str) -> None:
    assert unasked(thing("77", status=status)) is None
    assert unasked({}) is None


def test_the_leaders_pod_is_known_by_its_uid_and_only_while_it_has_the_key() -> None:
    pod = {"kind": "Pod", "name": "a", "uid": "u1"}
    endpoints = {
        "metadata": {"annotations": {"leader": "a"}},
        "subsets": [{"addresses": [{"ip": "10.0.0.1", "targetRef": pod}]}],
    }
    assert leader_pod(endpoints) == "u1"
    assert leader_pod({**endpoints, "metadata": {"annotations": {"leader": "b"}}}) == ""
    assert leader_pod({**endpoints, "metadata": {"annotations": {}}}) == ""
    assert leader_pod({**endpoints, "subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]}) == ""
    assert leader_pod({**endpoints, "subsets": []}) == ""


@pytest.mark.parametrize(
    ("config", "paused"),
    [("{}", False), ('{"pause": false}', False), ('{"pause": true}', True), ("[]", True), ("half", True), (None, True)],
)
def test_patroni_is_paused_where_it_says_so_or_cannot_be_read(config: str | None, paused: bool) -> None:
    notes = {} if config is None else {"config": config}
    assert is_paused({"metadata": {"annotations": notes}}) is paused
