"""The logs of a trial, of pods that stay, come and go."""

import shutil
from pathlib import Path

from drills.logs import AskedLogs, OpenLogs, logs_of
from drills.pod import NAME as DRILL_POD
from hms.errors import KubectlError
from hms.kubectl import Kubectl

UID = "d55acdce-183b-4a36-aa6b-a564e0e3b14a"


class Node:
    """A node's directory of logs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, pod: str, container: str, line: str, *, namespace: str = "hms-ci", uid: str = UID) -> Path:
        path = self.path / f"{namespace}_{pod}_{uid}" / container / "0.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{line}\n")
        return path.parent.parent


class Answering(Kubectl):
    """An API server that has one pod's log, or none."""

    asked: tuple[str, ...] = ()

    def run(self, *arguments: str, stdin: str | None = None, timeout_seconds: float = 30.0) -> str:
        type(self).asked = arguments
        if self.context == "gone":
            raise KubectlError("kubectl logs: connection refused")
        return "said\n"


def test_what_was_logged_since_the_beginning_is_kept(tmp_path: Path) -> None:
    nodes = [Node(tmp_path / name) for name in ("node-1", "node-2")]
    nodes[0].log("postgres-0", "postgres", "before")
    nodes[0].log("postgres-0", "witness", "before")
    nodes[1].log("redis-0", "redis", "before")
    logs = OpenLogs(tuple(node.path for node in nodes), "hms-ci")
    logs.begin()
    nodes[0].log("postgres-0", "postgres", "during")
    nodes[1].log("redis-0", "redis", "during")
    assert logs.end() == {
        "logs/postgres-0.d55acdce.postgres.0.log": b"during\n",
        "logs/redis-0.d55acdce.redis.0.log": b"during\n",
    }
    assert logs.end() == {}


def test_a_pod_that_is_deleted_and_the_next_of_its_name_are_both_kept(tmp_path: Path) -> None:
    node = Node(tmp_path)
    directory = node.log("postgres-0", "postgres", "before")
    logs = OpenLogs((node.path,), "hms-ci")
    logs.begin()
    node.log("postgres-0", "postgres", "its last words")
    shutil.rmtree(directory)
    node.log("postgres-0", "postgres", "its first", uid="0c2d42b5-183b-4a36-aa6b-a564e0e3b14a")
    assert logs.end() == {
        "logs/postgres-0.d55acdce.postgres.0.log": b"its last words\n",
        "logs/postgres-0.0c2d42b5.postgres.0.log": b"its first\n",
    }


def test_other_namespaces_and_the_drills_own_pod_are_not(tmp_path: Path) -> None:
    node = Node(tmp_path)
    logs = OpenLogs((node.path,), "hms-ci")
    node.log("postgres-0", "postgres", "before")
    logs.begin()
    node.log("coredns", "coredns", "during", namespace="kube-system")
    node.log("postgres-0", "postgres", "during", namespace="hms")
    node.log(DRILL_POD, "writer", "during")
    assert logs.end() == {}


def test_another_cluster_is_asked_once_for_what_came_since() -> None:
    logs = logs_of(Answering(Path("k"), "c"), None)
    logs.begin()
    assert logs.end() == {"logs/all.log": b"said\n"}
    (since,) = (option for option in Answering.asked if option.startswith("--since-time="))
    assert since.endswith("+00:00")
    assert logs.end() == {}


def test_logs_that_cannot_be_had_say_why() -> None:
    logs = AskedLogs(Answering(Path("k"), "gone"))
    logs.begin()
    assert logs.end() == {"logs/all.log": b"not kept: kubectl logs: connection refused\n"}
