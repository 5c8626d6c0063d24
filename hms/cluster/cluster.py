"""The test cluster: made, repaired, asked, broken and removed by its name."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path

from hms.cluster import cgroups, inotify, network, preflight
from hms.cluster.addresses import MAXIMUM_NODES
from hms.cluster.binaries import find_binaries, search_path
from hms.cluster.images import ImageStore, load_images
from hms.cluster.layout import CONTROL, Layout, node_name
from hms.cluster.lock import locked
from hms.cluster.machine import Machine, machines
from hms.cluster.node import Node
from hms.cluster.startup import Startup
from hms.cluster.state import ClusterState, read_state, validated_name, write_state
from hms.cluster.status import ClusterStatus, deployment_readiness, node_readiness
from hms.errors import ClusterError, KubectlError, UsageError
from hms.kubectl import Kubectl
from hms.paths import cluster_context, state_home

Progress = Callable[[str], None]


class Cluster:
    """The test cluster of that name, whether it is up or not."""

    def __init__(self, name: str = "default") -> None:
        self.name = validated_name(name)
        self.layout = Layout(self.name)

    @cached_property
    def hierarchies(self) -> cgroups.Hierarchies:
        """The control groups of this host."""
        return cgroups.detect()

    # Making and removing

    def up(self, *, nodes: int = 3, progress: Progress) -> None:
        """Make the cluster, or repair it, and return when its nodes are Ready and names resolve.

        What runs is left alone. If it fails or is interrupted, the machines that this call turned on are turned off
        again, and a cluster that this call made is removed.
        """
        if not 1 <= nodes <= MAXIMUM_NODES:
            raise UsageError(f"--nodes {nodes}: 1 to {MAXIMUM_NODES}")
        with self._locked(progress):
            found = read_state(self.layout.home)
            if found is not None and found.nodes != nodes:
                raise UsageError(
                    f"cluster {self.name!r} has {found.nodes} nodes, not {nodes}",
                    remedy=f"Name {found.nodes}, or run `hms cluster down --name {self.name}` first.",
                )
            began = time.monotonic()

            def tell(line: str) -> None:
                progress(f"{time.monotonic() - began:5.1f} s  {line}")

            if found is None or not all(machine.pid() for machine in self.machines()):
                preflight.check(self.layout.home, nodes)
                tell("this machine has what it needs")
            try:
                if raised := inotify.reserve(self.hierarchies, self.layout.group, nodes):
                    tell(raised)
                self._startup(found or self._new_state(nodes), tell).run()
            except BaseException:
                if found is None:
                    self._remove()
                raise

    def down(self, *, progress: Progress) -> bool:
        """Remove the cluster with its volumes, and whatever a crash left of one; return whether there was anything."""
        with self._locked(progress):
            existed = self.layout.home.exists() or bool(self._groups())
            self._remove()
        return existed

    def _new_state(self, nodes: int) -> ClusterState:
        # Two clusters that are made at once must not choose one index.
        with locked(state_home() / "clusters" / ".indexes.lock"):
            others = (read_state(path.parent) for path in (state_home() / "clusters").glob("*/state.json"))
            taken = [other.index for other in others if other is not None]
            index = preflight.free_index(taken, preflight.host_networks())
            state = ClusterState(name=self.name, index=index, nodes=nodes)
            self.layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_state(self.layout.home, state)
        return state

    def _startup(self, state: ClusterState, tell: Progress) -> Startup:
        return Startup(
            layout=self.layout, hierarchies=self.hierarchies, state=state, binaries=find_binaries(), tell=tell
        )

    def _groups(self) -> list[Path]:
        name = self.layout.group.strip("/")
        return [root / name for root in self.hierarchies.roots if (root / name).exists()]

    def _remove(self) -> None:
        """Remove by the cluster's name alone, for a crash may have left anything but that; the lock must be held."""
        names = {path.name for group in self._groups() for path in group.iterdir() if path.is_dir()}
        for name in sorted(names, key=lambda name: name == CONTROL):
            self.machine(name).power_off()
        cgroups.kill(self.hierarchies, self.layout.group)
        cgroups.remove(self.hierarchies, self.layout.group)
        shutil.rmtree(self.layout.home, ignore_errors=True)
        if self.layout.home.exists():
            raise ClusterError(f"{self.layout.home}: cannot be removed", remedy="See what is mounted there or uses it.")
        inotify.release(self.hierarchies)
        self.layout.lock.unlink(missing_ok=True)

    def _locked(self, progress: Progress) -> AbstractContextManager[None]:
        return locked(
            self.layout.lock, on_wait=lambda: progress(f"another command holds cluster {self.name!r}: waiting for it")
        )

    # Asking

    def state(self) -> ClusterState:
        """Return what the cluster was made with; `ClusterError` if there is none."""
        state = read_state(self.layout.home)
        if state is None:
            raise ClusterError(
                f"test cluster {self.name!r}: not up", remedy=f"Run `hms cluster up --name {self.name}`."
            )
        return state

    def kubectl(self) -> Kubectl:
        """Return the administrator's way to speak to the cluster, from anywhere on the host."""
        return Kubectl(self.layout.kubeconfig, cluster_context(self.name), find_binaries()["kubectl"])

    def status(self) -> ClusterStatus:
        """Return what runs and what does not; `ClusterError` if there is no such cluster."""
        state = self.state()
        ready: dict[str, bool] = {}
        pods: dict[str, bool] = {}
        if self.layout.kubeconfig.exists():
            kubectl = self.kubectl()
            try:
                ready, pods = node_readiness(kubectl), deployment_readiness(kubectl)
            except KubectlError:  # The table of parts says more than the error of one of them.
                ready, pods = {}, {}
        return ClusterStatus(
            name=self.name,
            nodes=state.nodes,
            api=f"https://127.0.0.1:{state.api_port}",
            kubeconfig=str(self.layout.kubeconfig),
            parts=tuple(part for machine in self.machines() for part in machine.parts()),
            faults=self._faults(state),
            ready=ready,
            pods=pods,
        )

    def _faults(self, state: ClusterState) -> dict[str, str]:
        control_pid = self.machine(CONTROL).pid()
        nodes = [self.node(number) for number in range(1, state.nodes + 1)]
        found = {node.name: node.fault(control_pid) for node in nodes}
        return {name: fault for name, fault in found.items() if fault}

    def machine(self, name: str) -> Machine:
        """Return the machine of that name: `control` or `node-N`."""
        return Machine(self.layout, name, self.hierarchies)

    def machines(self) -> Sequence[Machine]:
        """Return the control plane and the nodes."""
        return machines(self.layout, self.state().nodes, self.hierarchies)

    def control_pid(self) -> int:
        """Return the control plane's first process; `ClusterError` if it is off."""
        pid = self.machine(CONTROL).pid()
        if pid is None:
            raise ClusterError(
                f"cluster {self.name!r}: its control plane is off", remedy=f"Run `hms cluster up --name {self.name}`."
            )
        return pid

    # Using

    def run(self, argv: Sequence[str]) -> int:
        """Run a program inside the control plane's network namespace and return its exit code.

        There pods, Services and nodes have their own addresses. `KUBECONFIG` is set, for this program only.
        """
        environment = {**os.environ, "PATH": search_path(), "KUBECONFIG": str(self.layout.kubeconfig)}
        return subprocess.run(network.within(self.control_pid(), argv), check=False, env=environment).returncode

    def load_images(self, archives: Sequence[Path], progress: Progress) -> None:
        """Load image archives into every node at once, except those that a node has."""
        load_images(self._image_stores(), archives, progress)

    def lacking(self, references: Sequence[str]) -> list[str]:
        """Return those of the images that some node has not; of a node that is off nothing is known."""
        present: list[dict[str, str]] = []
        for store in self._image_stores():
            with suppress(ClusterError):
                present.append(store.images())
        return [reference for reference in references if not all(reference in images for images in present)]

    def _image_stores(self) -> list[ImageStore]:
        ctr = find_binaries()["ctr"]
        numbers = range(1, self.state().nodes + 1)
        return [ImageStore(node_name(number), self.layout.containerd_socket(number), ctr) for number in numbers]

    def node(self, number: int) -> Node:
        """Return node `number`, from 1; `UsageError` if the cluster has no such node."""
        count = self.state().nodes
        if not 1 <= number <= count:
            raise UsageError(f"node {number}: cluster {self.name!r} has nodes 1 to {count}")
        return Node(self, number)

    def start_node(self, number: int) -> None:
        """Turn on a node that is off."""
        self._startup(self.state(), lambda _: None).start_node(number)
