"""Which instances of the service fell silent: a node that is gone takes them along, and its Service still asks them.

Kubernetes takes them out when it finds the node gone, after 40 s by default. The witnesses, one on each node, ask every
instance whether it says anything. What a majority of them finds silent is marked as not ready, as Kubernetes would
later. The kubelet of a node that lives puts it right: a false mark is over within its next round, 10 s. The last
instances that speak are never marked. Nothing is kept here: who is silent to whom stands in the API.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from witness.record import PREFIX, Object, Patch, annotations

SILENT = f"{PREFIX}silent-"
REASON = "WitnessesFindItSilent"


class Instance(NamedTuple):
    """A pod of the service: its name, its uid, where it answers (empty if nowhere yet), and what its `Ready` says."""

    name: str
    uid: str
    address: str
    ready: bool


def instance_of(pod: Object) -> Instance:
    """Return what a pod's object says. One that is to go is not ready: its Service knows it already."""
    status = pod.get("status", {})
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ())
    leaving = "deletionTimestamp" in pod["metadata"]
    return Instance(
        str(pod["metadata"]["name"]), str(pod["metadata"]["uid"]), str(status.get("podIP", "")), ready and not leaving
    )


def opinions(config: Object) -> dict[str, frozenset[str]]:
    """Return whom each witness finds silent, by uid, as the object has it on which they also say whom they suspect."""
    return {
        name.removeprefix(SILENT): frozenset(filter(None, str(value).split(",")))
        for name, value in annotations(config).items()
        if name.startswith(SILENT)
    }


def opinion(me: str, silent: frozenset[str], scope: str) -> Patch:
    """Return the write by which a witness says whom it finds silent."""
    text = ",".join(sorted(silent)) or None
    return Patch(f"{scope}-config", {"metadata": {"annotations": {f"{SILENT}{me}": text}}})


def to_mark(
    instances: Mapping[str, Instance], said: Mapping[str, frozenset[str]], members: frozenset[str]
) -> tuple[Instance, ...]:
    """Return the ready instances that more than half of `members` find silent, in order of their names.

    None, if no ready instance would be left: then it is rather the witnesses who do not hear.
    """

    def is_silent(uid: str) -> bool:
        return sum(uid in said.get(member, ()) for member in members) > len(members) // 2

    ready = [one for one in instances.values() if one.ready]
    silent = tuple(sorted(one for one in ready if is_silent(one.uid)))
    return silent if len(silent) < len(ready) else ()


def mark_of(now: datetime) -> dict[str, Any]:
    """Return the strategic merge patch of a pod's status which says that it is not ready; `now` is in UTC."""
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": REASON,
        "message": "more than half of the witnesses had no answer from it",
        "lastTransitionTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {"status": {"conditions": [condition]}}
