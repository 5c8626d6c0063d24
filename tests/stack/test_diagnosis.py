import json
from pathlib import Path
from typing import Any

import pytest

from hms.kubectl import Kubectl
from hms.stack.diagnosis import diagnose, pod_reason, unready_pods

Object = dict[str, Any]


def pod(name: str, *, phase: str = "Running", ready: bool = False, **status: Any) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *status.pop("conditions", [])]
    return {"metadata": {"name": name}, "status": {"phase": phase, "conditions": conditions, **status}}


def container(state: Object, **more: Any) -> Object:
    return {"name": "main", "state": state, "restartCount": 0, **more}


PULLING = pod(
    "app-1", phase="Pending", containerStatuses=[container({"waiting": {"reason": "ErrImagePull", "message": "no"}})]
)
CRASHING = pod(
    "redis-0",
    containerStatuses=[
        container(
            {"waiting": {"reason": "CrashLoopBackOff"}},
            lastState={"terminated": {"reason": "Error", "exitCode": 1}},
            containerID="c",
            restartCount=3,
        )
    ],
)
UNSCHEDULED = pod(
    "postgres-2",
    phase="Pending",
    conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
)
SLOW = pod("sentinel-0", containerStatuses=[container({"running": {}}, containerID="c")])
READY = pod("app-2", ready=True)
DONE = pod("load-data", phase="Succeeded")


def test_only_pods_that_should_serve_and_do_not_are_named() -> None:
    assert unready_pods([PULLING, READY, DONE, SLOW]) == [PULLING, SLOW]


@pytest.mark.parametrize(
    ("unready", "reason"),
    [
        (PULLING, "container main: ErrImagePull"),
        (CRASHING, "container main: CrashLoopBackOff; it ended with Error, exit code 1"),
        (UNSCHEDULED, "not scheduled: 0/3 nodes are available"),
        (SLOW, "running, but its readiness probe fails"),
    ],
)
def test_the_reason_is_said_in_a_few_words(unready: Object, reason: str) -> None:
    assert pod_reason(unready) == reason


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    """Return a kubectl whose API server is a folder: pods.json, events.json, and log lines."""
    events = [
        {"reason": "Failed", "message": f"attempt {n}\n", "lastTimestamp": f"2026-01-01T00:00:0{n}Z"} for n in range(6)
    ]
    (tmp_path / "pods.json").write_text(json.dumps({"items": [PULLING, CRASHING, READY]}))
    (tmp_path / "events.json").write_text(json.dumps({"items": events}))
    program = tmp_path / "kubectl"
    program.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        f"*'get pods'*) cat {tmp_path}/pods.json ;;\n*'get events'*) cat {tmp_path}/events.json ;;\n"
        "*logs*--previous*) echo 'it said why' ;;\n*) echo unexpected >&2; exit 1 ;;\nesac\n"
    )
    program.chmod(0o755)
    return Kubectl(tmp_path / "kubeconfig", "test", str(program), "hms-test")


def test_each_unready_pod_is_told_with_its_last_events_and_lines_and_a_way_out(kubectl: Kubectl) -> None:
    told = diagnose(kubectl)
    assert "pod app-1: container main: ErrImagePull" in told
    assert "event Failed: attempt 5" in told
    assert "attempt 1" not in told
    assert "main | it said why" in told
    assert "`hms images`" in told
    assert "app-2" not in told


def test_a_cluster_that_does_not_answer_is_itself_the_finding(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text("#!/bin/sh\necho 'connection refused' >&2\nexit 1\n")
    program.chmod(0o755)
    told = diagnose(Kubectl(tmp_path, "test", str(program)))
    assert "could not be asked" in told
    assert "connection refused" in told
