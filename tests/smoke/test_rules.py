"""The rules of the API server for what Patroni does not know, on the proved stack."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hms.errors import KubectlError
from hms.kubectl import Kubectl
from tests.proved import ProvedStack

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SYNC = "postgres-sync"
HELD = "a witness holds this record"
ANOTHER = "another pod has the name"
CLAIM = "authentication.kubernetes.io/"


def write(kubectl: Kubectl, kind: str, name: str, notes: dict[str, Any], *options: str) -> None:
    body = json.dumps({"metadata": {"annotations": notes}})
    kubectl.run("patch", kind, name, "--type=merge", "--patch", body, *options)


def would_be_refused(kubectl: Kubectl, kind: str, name: str, notes: dict[str, Any], reason: str) -> bool:
    """Ask the API server, which checks all and stores nothing."""
    try:
        write(kubectl, kind, name, notes, "--dry-run=server")
    except KubectlError as error:
        if reason in str(error):
            return True
        raise
    return False


def notes_of(kubectl: Kubectl, kind: str, name: str) -> dict[str, str]:
    return dict(kubectl.get(kind, name)["metadata"]["annotations"])


def speaking_for(proof: ProvedStack, pod: str, uid: str, folder: Path) -> Kubectl:
    """Return a kubectl whose requests the API server takes for those of a pod's token."""
    config = yaml.safe_load(proof.kubectl.kubeconfig.read_text())
    config["users"][0]["user"] |= {
        "as": f"system:serviceaccount:{proof.inventory.namespace}:postgres",
        "as-user-extra": {f"{CLAIM}pod-name": [pod], f"{CLAIM}pod-uid": [uid]},
    }
    path = folder / f"{pod}-{uid[:8]}"
    path.write_text(yaml.safe_dump(config))
    return Kubectl(path, proof.kubectl.context, proof.kubectl.binary).within(proof.inventory.namespace)


def test_only_another_leader_changes_a_record_that_is_held(proof: ProvedStack) -> None:
    kubectl = proof.kubectl
    leader = notes_of(kubectl, "endpoints", SYNC)["leader"]

    def is_held(notes: dict[str, Any]) -> bool:
        return would_be_refused(kubectl, "endpoints", SYNC, notes, HELD)

    fewer = {"sync_standby": "nobody", "quorum": "0"}
    assert not is_held(fewer)
    hold = {"leader": leader, "term": "t", "renewal": "r"}
    write(kubectl, "endpoints", SYNC, {"witness.hms/hold-test": json.dumps(hold)})
    try:
        assert is_held(fewer)
        assert is_held({"quorum": None})
        assert not is_held({"witness.hms/seal": "again"})
        assert not is_held({"leader": "another", **fewer})
        write(kubectl, "endpoints", SYNC, {"witness.hms/hold-test": json.dumps({**hold, "leader": "another"})})
        assert not is_held(fewer)
    finally:
        write(kubectl, "endpoints", SYNC, {"witness.hms/hold-test": None})


def test_a_pod_that_is_gone_does_not_act_for_the_next_of_its_name(proof: ProvedStack, tmp_path: Path) -> None:
    kubectl = proof.kubectl
    leader = notes_of(kubectl, "endpoints", "postgres")["leader"]
    living = speaking_for(proof, leader, kubectl.get("pod", leader)["metadata"]["uid"], tmp_path)
    gone = speaking_for(proof, leader, "00000000-0000-4000-8000-000000000000", tmp_path)
    other = next(name for name in ("postgres-0", "postgres-1", "postgres-2") if name != leader)
    witness = speaking_for(proof, other, kubectl.get("pod", other)["metadata"]["uid"], tmp_path)

    def is_refused(by: Kubectl, kind: str, name: str, notes: dict[str, Any]) -> bool:
        return would_be_refused(by, kind, name, notes, ANOTHER)

    renewal = {"leader": leader, "renewTime": "now"}
    assert is_refused(gone, "endpoints", "postgres", renewal)
    assert not is_refused(living, "endpoints", "postgres", renewal)
    assert not is_refused(witness, "endpoints", "postgres", {"witness.hms/vote-test": "{}"})
    status = json.loads(notes_of(kubectl, "pod", leader)["status"])
    moved = {"status": json.dumps({**status, "api_url": "http://192.0.2.1:8008/patroni"})}
    assert is_refused(gone, "pod", leader, moved)
    assert not is_refused(living, "pod", leader, moved)
    del status["api_url"]
    assert not is_refused(witness, "pod", leader, {"status": json.dumps(status)})


def test_a_witness_marks_an_instance_of_the_service_and_changes_nothing_else(
    proof: ProvedStack, tmp_path: Path
) -> None:
    kubectl = proof.kubectl
    leader = notes_of(kubectl, "endpoints", "postgres")["leader"]
    witness = speaking_for(proof, leader, kubectl.get("pod", leader)["metadata"]["uid"], tmp_path)
    selector = next(one.selector for one in proof.inventory.workloads if one.name == "app")
    name = proof.kubectl.pods(selector)[0]["metadata"]["name"]
    mark = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    elsewhere = {"status": {"podIP": "192.0.2.1", "podIPs": [{"$patch": "replace"}, {"ip": "192.0.2.1"}]}}
    renamed = {"metadata": {"labels": {"app.kubernetes.io/name": "postgres"}}}

    def is_refused(pod: str, body: dict[str, Any]) -> bool:
        options = ("--subresource=status", "--type=strategic", "--dry-run=server", "--patch", json.dumps(body))
        try:
            witness.run("patch", "pod", pod, *options)
        except KubectlError as error:
            if "a witness marks instances of the service" in str(error):
                return True
            raise
        return False

    assert not is_refused(name, mark)
    assert is_refused(name, elsewhere)
    assert is_refused(name, renamed)
    assert is_refused(leader, mark)
