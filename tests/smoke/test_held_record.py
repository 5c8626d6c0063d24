"""The rule of the API server by which a record that a witness holds stays as it is, on the proved stack."""

import json
from typing import Any

import pytest

from hms.errors import KubectlError
from hms.kubectl import Kubectl
from tests.proved import ProvedStack

SYNC = "postgres-sync"


def write(kubectl: Kubectl, notes: dict[str, Any], *options: str) -> None:
    body = json.dumps({"metadata": {"annotations": notes}})
    kubectl.run("patch", "endpoints", SYNC, "--type=merge", "--patch", body, *options)


def would_be_refused(kubectl: Kubectl, notes: dict[str, Any]) -> bool:
    """Ask the API server, which checks all and stores nothing."""
    try:
        write(kubectl, notes, "--dry-run=server")
    except KubectlError as error:
        if "a witness holds this record" in str(error):
            return True
        raise
    return False


@pytest.mark.cluster
@pytest.mark.slow
def test_only_another_leader_changes_a_record_that_is_held(proof: ProvedStack) -> None:
    kubectl = proof.kubectl
    leader = kubectl.get("endpoints", SYNC)["metadata"]["annotations"]["leader"]
    fewer = {"sync_standby": "nobody", "quorum": "0"}
    assert not would_be_refused(kubectl, fewer)
    hold = {"leader": leader, "term": "t", "renewal": "r"}
    write(kubectl, {"witness.hms/hold-test": json.dumps(hold)})
    try:
        assert would_be_refused(kubectl, fewer)
        assert would_be_refused(kubectl, {"quorum": None})
        assert not would_be_refused(kubectl, {"witness.hms/seal": "again"})
        assert not would_be_refused(kubectl, {"leader": "another", **fewer})
        write(kubectl, {"witness.hms/hold-test": json.dumps({**hold, "leader": "another"})})
        assert not would_be_refused(kubectl, fewer)
    finally:
        write(kubectl, {"witness.hms/hold-test": None})
