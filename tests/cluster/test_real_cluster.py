"""One real cluster for the module: what a pod meets in it, what happens to its nodes, and what is left of it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hms.cluster import Cluster, cgroups
from hms.errors import ClusterError, KubectlError
from tests.cluster.bench import BUSYBOX, IDLE, SERVE, Bench
from tests.cluster.remains import await_no_remains, eventually, remains

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and control groups need root"),
]


def test_up_is_up_and_says_how_long_it_took(bench: Bench, record_property: Callable[[str, object], None]) -> None:
    record_property("up_seconds", round(bench.up_seconds, 1))

    status = bench.cluster.status()

    assert [part.name for part in status.parts if part.pid is None] == []
    firewalls = [part.log.read_text() for part in status.parts if part.name == "kube-router"]
    assert ["forbidden" in log for log in firewalls] == [False] * 3
    assert status.ready == {"node-1": True, "node-2": True, "node-3": True}


def test_up_twice_is_one_cluster(bench: Bench) -> None:
    before = bench.cluster.status().parts

    bench.cluster.up(progress=lambda _: None)

    assert bench.cluster.status().parts == before


def test_another_size_is_refused(bench: Bench) -> None:
    with pytest.raises(Exception, match="has 3 nodes, not 2"):
        bench.cluster.up(nodes=2, progress=lambda _: None)


def test_a_memory_limit_is_the_cgroups_and_kills(bench: Bench) -> None:
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    bench.apply(bench.pod("glutton", f"{limit}; exec {BUSYBOX} dd if=/dev/zero of=/dev/null bs=100M count=1"))

    def state() -> dict[str, Any]:
        statuses = bench.kubectl.get("pod", "glutton")["status"].get("containerStatuses") or [{"state": {}}]
        return dict(statuses[0]["state"])

    eventually(lambda: "terminated" in state(), within_seconds=30, what="the end of the pod")

    assert bench.kubectl.run("logs", "glutton").split()[0] == str(32 << 20)
    assert state()["terminated"]["reason"] == "OOMKilled"


def test_a_privileged_pod_is_refused(bench: Bench) -> None:
    pod = bench.pod("privileged", IDLE)
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}

    with pytest.raises(KubectlError, match="violates PodSecurity"):
        bench.apply(pod)


def test_an_orphan_in_a_pod_that_shares_its_processes_leaves_no_zombie(bench: Bench) -> None:
    pod = bench.pod("sharing", IDLE)
    pod["spec"]["shareProcessNamespace"] = True
    bench.apply(pod)
    bench.await_ready("sharing")
    orphan = bench.shell("sharing", f"{BUSYBOX} sleep 3 >/dev/null 2>&1 & echo $!").strip()
    parent = bench.shell("sharing", f"{BUSYBOX} awk '/^PPid/ {{print $2}}' /proc/{orphan}/status").strip()
    assert parent == "1"

    eventually(
        lambda: bench.shell("sharing", f"{BUSYBOX} ls /proc | {BUSYBOX} grep -cx {orphan} || true").strip() == "0",
        within_seconds=10, what="the end of the orphan",
    )  # fmt: skip


def test_policies_hold_between_pods_of_one_node_and_of_two(bench: Bench) -> None:
    bench.apply(
        bench.pod("server", SERVE, node=1),
        bench.pod("friend-near", IDLE, node=1), bench.pod("friend-far", IDLE, node=2),
        bench.pod("stranger-near", IDLE, node=1), bench.pod("stranger-far", IDLE, node=2),
    )  # fmt: skip
    clients = ("friend-near", "friend-far", "stranger-near", "stranger-far")
    bench.await_ready("server", *clients)
    server = bench.address("server")
    for client in clients:
        bench.await_reach(client, server, reaches=True)

    friends = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["friend-near", "friend-far"]}]}
    bench.apply({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "friends-only"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "server"}},
            "ingress": [{"from": [{"podSelector": friends}], "ports": [{"port": 8080}]}],
        },
    })  # fmt: skip

    for stranger in ("stranger-near", "stranger-far"):
        bench.await_reach(stranger, server, reaches=False)
    for friend in ("friend-near", "friend-far"):
        bench.await_reach(friend, server, reaches=True)


def test_names_resolve_in_a_pod_and_nothing_leads_out(bench: Bench) -> None:
    bench.apply(bench.pod("resolver", IDLE))
    bench.await_ready("resolver")

    answer = bench.shell("resolver", f"{BUSYBOX} nslookup kubernetes.default.svc.cluster.local")

    assert str(bench.cluster.state().index + 120) in answer
    # An address of RFC 5737 that nobody has, and no route to it or to any other.
    assert not bench.reaches("resolver", "198.51.100.1", 80)
    pid = bench.cluster.control_pid()
    routes = subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "route"], capture_output=True, text=True, check=True
    )
    assert "default" not in routes.stdout


def test_a_service_without_endpoints_refuses_with_a_reset(bench: Bench) -> None:
    """Not with an ICMP error, which here leaves a socket that dials on and is never free of it."""
    bench.apply(
        bench.pod("dialler", IDLE),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "nobody"},
            "spec": {"selector": {"app": "nobody"}, "ports": [{"port": 8080}]},
        },
    )
    bench.await_ready("dialler")
    address = str(bench.kubectl.get("service", "nobody")["spec"]["clusterIP"])

    said = bench.shell("dialler", f"{BUSYBOX} nc -w 5 {address} 8080 </dev/null 2>&1 || true")

    assert "refused" in said
    assert bench.kernel_count("dialler", "Tcp", "AttemptFails") == 1
    assert bench.kernel_count("dialler", "Icmp", "InDestUnreachs") == 0


def test_figures_for_an_autoscaler_come(bench: Bench) -> None:
    def nodes() -> bool:
        answer = json.loads(bench.kubectl.run("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))
        return len(answer["items"]) == 3

    eventually(nodes, within_seconds=60, what="figures of three nodes")


def test_a_volume_survives_its_pod_and_its_node_and_goes_with_its_claim(bench: Bench) -> None:
    bench.apply({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })  # fmt: skip
    writer = bench.pod("writer", f"date +%s%N >> /data/starts; {IDLE}", claim="kept")
    bench.apply(writer)
    bench.await_ready("writer")
    first = bench.shell("writer", "cat /data/starts").split()
    assert len(first) == 1

    bench.kubectl.run("delete", "pod", "writer", "--now")
    bench.apply(writer)
    bench.await_ready("writer")
    second = bench.shell("writer", "cat /data/starts").split()
    assert second[:1] == first
    assert len(second) == 2

    node = bench.cluster.node(int(bench.kubectl.get("pod", "writer")["spec"]["nodeName"].removeprefix("node-")))
    assert node.stop() > 3
    assert bench.cluster.status().faults == {node.name: "stopped"}
    assert not bench.answers(node.number)
    node.start()

    def starts() -> list[str]:
        return bench.shell("writer", "cat /data/starts").split()

    eventually(lambda: len(starts()) == 3, within_seconds=60, what="the pod's start after the node's")
    assert starts()[:2] == second

    name = bench.kubectl.get("pvc", "kept")["spec"]["volumeName"]
    directory = bench.cluster.layout.machine(node.name) / "volumes" / name
    assert directory.is_dir()
    bench.kubectl.run("delete", "pod/writer", "pvc/kept", "--now")
    eventually(lambda: not directory.exists(), within_seconds=20, what="the end of the volume")


def test_a_frozen_node_answers_nothing_and_goes_on_where_it_stood(bench: Bench) -> None:
    node = bench.cluster.node(2)
    before = bench.parts_of(2)
    eventually(lambda: bench.answers(2), within_seconds=20, what="node 2 before")

    node.freeze()
    try:
        assert node.is_frozen()
        assert bench.cluster.status().faults == {"node-2": "frozen"}
        assert not bench.answers(2)
    finally:
        node.thaw()

    eventually(lambda: bench.answers(2), within_seconds=20, what="node 2 after")
    assert bench.parts_of(2) == before


def test_an_isolated_node_is_silent_until_it_is_healed(bench: Bench) -> None:
    node = bench.cluster.node(3)
    eventually(lambda: bench.answers(3), within_seconds=20, what="node 3 before")

    node.isolate()
    try:
        assert bench.cluster.status().faults == {"node-3": "cut off"}
        assert not bench.answers(3)
    finally:
        node.heal()

    eventually(lambda: bench.answers(3), within_seconds=20, what="node 3 after")


def test_a_partition_is_between_two_nodes_only(bench: Bench) -> None:
    bench.apply(
        bench.pod("one", IDLE, node=1), bench.pod("two", SERVE, node=2), bench.pod("three", SERVE, node=3)
    )  # fmt: skip
    bench.await_ready("one", "two", "three")
    two, three = bench.address("two"), bench.address("three")
    bench.await_reach("one", two, reaches=True)

    bench.cluster.node(1).isolate_from(2)
    try:
        assert not bench.reaches("one", two, 8080)
        assert bench.reaches("one", three, 8080)
        assert bench.cluster.status().faults == {"node-1": "cut off from node-2", "node-2": "cut off from node-1"}
        assert bench.answers(1)
        assert bench.answers(2)
    finally:
        bench.cluster.node(2).heal()

    bench.await_reach("one", two, reaches=True)


def test_a_node_may_lose_the_control_plane_alone(bench: Bench) -> None:
    bench.apply(bench.pod("far-one", IDLE, node=1), bench.pod("far-two", SERVE, node=2))
    bench.await_ready("far-one", "far-two")
    two = bench.address("far-two")
    bench.await_reach("far-one", two, reaches=True)

    bench.cluster.node(2).isolate_from_control_plane()
    try:
        assert bench.reaches("far-one", two, 8080)
        assert not bench.answers(2)
        assert bench.answers(1)
        assert bench.cluster.status().faults == {"node-2": "cut off from the control plane"}
    finally:
        bench.cluster.node(2).heal()

    eventually(lambda: bench.answers(2), within_seconds=20, what="node 2 after")


def test_a_daemon_that_dies_is_started_again(bench: Bench) -> None:
    def proxy() -> int | None:
        return next(p.pid for p in bench.cluster.machine("node-1").parts() if p.name == "kube-proxy")

    first = proxy()
    assert first is not None
    os.kill(first, signal.SIGKILL)

    eventually(lambda: proxy() not in (None, first), within_seconds=10, what="another kube-proxy")


def test_up_repairs_after_everything_was_killed(bench: Bench) -> None:
    bench.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"key": "value"}})
    for pid in cgroups.processes(bench.cluster.hierarchies, bench.cluster.layout.group):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # Its machine's first process was killed before it.
            continue
    eventually(
        lambda: not cgroups.processes(bench.cluster.hierarchies, bench.cluster.layout.group),
        within_seconds=20, what="the end of every process",
    )  # fmt: skip
    assert not bench.cluster.status().is_up

    bench.cluster.up(progress=lambda line: print(line, file=sys.stderr))

    status = bench.cluster.status()
    assert [part.name for part in status.parts if part.pid is None] == []
    assert all(status.ready.values())
    assert bench.kubectl.get("configmap", "kept")["data"] == {"key": "value"}


def test_interrupting_up_leaves_nothing() -> None:
    name = f"t-{os.getpid()}-i"
    argv = [sys.executable, "-m", "hms.cli", "cluster", "up", "--name", name, "--nodes", "1"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "machines run" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, seen

    await_no_remains(name)
    assert not Cluster(name).layout.home.exists()
    assert not Cluster(name).layout.lock.exists()


def test_down_leaves_nothing(bench: Bench) -> None:
    assert len(remains(bench.cluster.name)) > 20, "the search must find what is there"

    assert bench.cluster.down(progress=lambda _: None)

    await_no_remains(bench.cluster.name)
    assert not bench.cluster.layout.home.exists()
    assert not bench.cluster.layout.lock.exists()
    assert not bench.cluster.down(progress=lambda _: None)
    with pytest.raises(ClusterError, match="not up"):
        bench.cluster.status()
