"""The machines of a test cluster, as a drill breaks them. Any other cluster has none that a drill may touch."""

import json
import os
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from hms.cluster import Cluster, Node, cgroups, network
from hms.cluster.layout import CONTROL, node_name
from hms.errors import ClusterError, HmsError
from hms.kubectl import Kubectl
from hms.paths import cluster_context, cluster_kubeconfig

KUBELET_PORT = 10250
REACH = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.0)"


def machines_of(kubectl: Kubectl) -> "Machines | None":
    """Return the machines behind a kubectl, or None where it leads to no test cluster of this machine, or without root.

    It is one when its context and its kubeconfig are those of a test cluster.
    """
    name = kubectl.context.removeprefix("hms-")
    is_ours = kubectl.context == cluster_context(name) and kubectl.kubeconfig == cluster_kubeconfig(name)
    return Machines(name) if is_ours and os.geteuid() == 0 else None


def process_started(process_id: int) -> int:
    """Return when a process was started, in the kernel's ticks; 0 if there is none."""
    return int(_stat(process_id)[19]) if _stat(process_id) else 0


def process_state(process_id: int) -> str:
    """Return the letter of a process's state (`T` is stopped); empty if there is none."""
    return _stat(process_id)[0] if _stat(process_id) else ""


def _stat(process_id: int) -> list[str]:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


class Machines:
    """The nodes, the control plane and the pods' control groups of the test cluster `name`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._cluster = Cluster(name)

    @cached_property
    def count(self) -> int:
        """How many nodes there are."""
        return self._cluster.state().nodes

    def node(self, number: int) -> Node:
        """Return a node by its number."""
        return self._cluster.node(number)

    def log_directories(self) -> tuple[Path, ...]:
        """Return where the kubelets keep the containers' logs, as this machine sees it."""
        return tuple(self._cluster.layout.machine(node_name(n)) / "log" / "pods" for n in range(1, self.count + 1))

    def number_of(self, node: str) -> int:
        """Return the number of a node by the name that Kubernetes has for it."""
        for number in range(1, self.count + 1):
            if node_name(number) == node:
                return number
        raise HmsError(f"node {node}: not of the test cluster {self.name!r}")

    def mend(self, number: int) -> None:
        """Give a node its power, let it go on, and plug its cable in; nothing happens where that is so."""
        node = self.node(number)
        if not node.is_running():
            node.start()
        if node.is_frozen():
            node.thaw()
        node.heal()

    def pod_group(self, node: str, uid: str) -> str:
        """Return the control group of a pod on a node; `HmsError` if it has none there."""
        top = self._cluster.hierarchies.freezer()
        machine = self._cluster.layout.machine_group(node).strip("/")
        for directory in sorted((top / machine / "kubepods").rglob(f"pod{uid}")):
            return f"/{directory.relative_to(top)}"
        raise HmsError(f"pod {uid}: no control group on {node}", remedy="Is the stack in its steady state?")

    def freeze(self, group: str) -> None:
        """Freeze a group; it returns once the kernel says that every process of it stands still."""
        cgroups.freeze(self._cluster.hierarchies, group, frozen=True)

    def thaw(self, group: str) -> None:
        """Let a group go on; nothing happens if it is gone."""
        if (self._cluster.hierarchies.freezer() / group.strip("/")).exists():
            cgroups.freeze(self._cluster.hierarchies, group, frozen=False)

    def is_frozen(self, group: str) -> bool:
        """Ask the kernel whether a group is frozen."""
        return cgroups.is_frozen(self._cluster.hierarchies, group)

    def packets(self, number: int) -> int:
        """Return how many packets have passed a node's cable, both ways, since it was laid."""
        command = ["ip", "-json", "-stats", "link", "show", "dev", network.port(number)]
        (link,) = json.loads(network.run(network.within(self._cluster.control_pid(), command)))
        return int(link["stats64"]["rx"]["packets"]) + int(link["stats64"]["tx"]["packets"])

    def can_reach(self, number: int, other: int) -> bool:
        """Say whether a node reaches the kubelet of another one within a second."""
        pid = self._cluster.machine(node_name(number)).pid()
        if pid is None:
            return False
        address = self.address(other)
        command = network.within(pid, [sys.executable, "-I", "-S", "-c", REACH, address, str(KUBELET_PORT)])
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def address(self, number: int) -> str:
        """Return a node's address."""
        for item in self._cluster.kubectl().get("node", node_name(number))["status"]["addresses"]:
            if item["type"] == "InternalIP":
                return str(item["address"])
        raise ClusterError(f"{node_name(number)}: the API server knows no address of it")

    def control_part(self, name: str) -> int:
        """Return the process of a part of the control plane; `ClusterError` if it does not run."""
        for part in self._cluster.machine(CONTROL).parts():
            if part.name == name and part.pid is not None:
                return part.pid
        raise ClusterError(f"cluster {self.name!r}: its {name} does not run")
