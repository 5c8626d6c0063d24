"""The API's three objects as the core's `Record`, and its actions as patches. Pure.

Patroni keeps the leader's key as annotations of the Endpoints `<scope>`, the synchronous set as those of `<scope>-sync`
and its settings as those of `<scope>-config`; the names are those of `patroni/dcs/kubernetes.py` (4.0). Votes are
annotations of the first, holds of the second, suspicions of the third, under a prefix of our own, which Patroni leaves
alone. Not of the first: a leader whose renewal meets two other writes within one cycle gives its key up, and any
witness that is short of CPU may suspect, and see that it was wrong, at any time.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from witness.core import Action, Clear, Hold, Mark, Publish, Record, Suspect, Sync, Take, Unhold, Vote, Withdraw

PREFIX = "witness.hms/"
SUSPECTS = f"{PREFIX}suspects-"
VOTE = f"{PREFIX}vote-"
SEAL = f"{PREFIX}seal"
HOLD = f"{PREFIX}hold-"

Object = Mapping[str, Any]


class Patch(NamedTuple):
    """A merge patch of the Endpoints `name`; one with a `resourceVersion` succeeds on that version alone."""

    name: str
    body: dict[str, Any]


def leader_address(leader: Object) -> str:
    """Return where the leader answers, as Patroni wrote it into its Endpoints; empty if it is not there."""
    return str(_first_address(leader).get("ip", ""))


def leader_pod(leader: Object) -> str:
    """Return the uid of the pod that has the key, as Patroni wrote it into its Endpoints; empty if it is not there."""
    pod = _first_address(leader).get("targetRef") or {}
    is_its = bool(pod.get("name")) and pod["name"] == annotations(leader).get("leader")
    return str(pod.get("uid", "")) if is_its else ""


def is_paused(config: Object) -> bool:
    """Tell whether Patroni is told to leave its members alone; a configuration that cannot be read says so too."""
    try:
        return bool(json.loads(annotations(config)["config"]).get("pause"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return True


def _first_address(leader: Object) -> Object:
    for subset in leader.get("subsets") or ():
        for address in subset.get("addresses") or ():
            found: Object = address
            return found
    return {}


def read_record(leader: Object, sync: Object, config: Object, members: frozenset[str]) -> Record:
    """Return the core's view of the objects. What cannot be read counts as absent, which never lets more happen."""
    notes, suspicions = annotations(leader), annotations(config)
    marks = {name.removeprefix(VOTE): mark for name, value in notes.items()
             if name.startswith(VOTE) and (mark := _mark(value)) is not None}  # fmt: skip
    return Record(
        version=_version(leader),
        leader=notes.get("leader") or None,
        term=notes.get("acquireTime", ""),
        renewal=notes.get("renewTime", ""),
        suspects={
            name.removeprefix(SUSPECTS): value for name, value in suspicions.items() if name.startswith(SUSPECTS)
        },
        marks=marks,
        sync=_sync(sync, members),
        members=members,
    )


def patch_of(action: Action, me: str, scope: str) -> Patch:
    """Return what an action writes, and on which object; `ValueError` for one that writes nothing."""
    version: str | None = None
    notes: dict[str, str | None]
    match action:
        case Suspect(term):
            name, notes = f"{scope}-config", {f"{SUSPECTS}{me}": term}
        case Clear():
            name, notes = f"{scope}-config", {f"{SUSPECTS}{me}": None}
        case Hold(version, vote):
            name, notes = f"{scope}-sync", {f"{HOLD}{me}": encode_vote(vote)}
        case Unhold(version):
            name, notes = f"{scope}-sync", {f"{HOLD}{me}": None}
        case Publish(version, vote):
            name, notes = scope, {f"{VOTE}{me}": encode_vote(vote)}
        case Withdraw(version, vote):
            name, notes = scope, {f"{VOTE}{me}": encode_vote(vote, withdrawn=True)}
        case Take(version):
            # As Patroni gives its own key up. Without `failsafe` the race does not ask whom that names.
            patch = _patch(scope, version, {"leader": None, "failsafe": None})
            return Patch(scope, {**patch.body, "subsets": []})
        case _:
            raise ValueError(f"{action}: writes nothing")
    return _patch(name, version, notes)


def seal_of(take: Take, scope: str, nonce: str) -> Patch:
    """Return the write to the `sync` object before a take; `nonce` is new each time, or it would be no write."""
    return _patch(f"{scope}-sync", take.sync_version, {SEAL: nonce})


def unasked(pod: Object) -> dict[str, Any] | None:
    """Return the merge patch of a member's pod after which Patroni's race does not ask it; None if none is needed.

    Its `status` stays but for `api_url`, so that who follows it, should it live, goes on; it would then write it anew.
    """
    try:
        status = json.loads(annotations(pod).get("status", ""))
        del status["api_url"]
    except (ValueError, KeyError, TypeError):
        return None
    text = json.dumps(status, separators=(",", ":"))
    return {"metadata": {"resourceVersion": _version(pod), "annotations": {"status": text}}}


def encode_vote(vote: Vote, *, withdrawn: bool = False) -> str:
    """Return a vote as text, as an annotation and the latch have it."""
    return json.dumps({**vote._asdict(), "withdrawn": withdrawn} if withdrawn else vote._asdict())


def decode_vote(text: str) -> Vote | None:
    """Return the vote that a text holds, or None."""
    mark = _mark(text)
    return None if mark is None else mark.vote


def _patch(name: str, version: str | None, annotations: dict[str, str | None]) -> Patch:
    condition = {} if version is None else {"resourceVersion": version}
    return Patch(name, {"metadata": {**condition, "annotations": annotations}})


def annotations(thing: Object) -> dict[str, str]:
    """Return an object's annotations; none where it has none."""
    return thing.get("metadata", {}).get("annotations") or {}


def _version(thing: Object) -> str:
    return str(thing.get("metadata", {}).get("resourceVersion", ""))


def _mark(text: str) -> Mark | None:
    try:
        said = json.loads(text)
        vote = Vote(str(said["leader"]), str(said["term"]), str(said["renewal"]))
        return Mark(vote, withdrawn=bool(said.get("withdrawn", False)))
    except (ValueError, KeyError, TypeError):
        return None


def _sync(sync: Object, members: frozenset[str]) -> Sync:
    """Read Patroni's `sync` record; where it has no quorum, one that no votes can reach."""
    notes = annotations(sync)
    voters = frozenset(name for name in notes.get("sync_standby", "").split(",") if name)
    quorum = notes.get("quorum", "")
    return Sync(
        version=_version(sync),
        leader=notes.get("leader") or None,
        voters=voters,
        quorum=int(quorum) if quorum.isascii() and quorum.isdigit() else len(members),
        holds={name.removeprefix(HOLD): vote for name, value in notes.items()
               if name.startswith(HOLD) and (vote := decode_vote(value)) is not None},
    )  # fmt: skip
