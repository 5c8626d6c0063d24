"""The test cluster: made, repaired, asked, broken and removed by its name."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import msgspec
from jinja2 import StrictUndefined, Template

from hms.cluster import cgroups, network, parts, preflight
from hms.cluster.addresses import MAXIMUM_NODES, Addresses
from hms.cluster.archive import ensure_archive, system_images
from hms.cluster.binaries import find_binaries, search_path
from hms.cluster.images import ImageStore, load_images
from hms.cluster.layout import CONTROL, Layout, node_name
from hms.cluster.machine import Boot, Machine, PartStatus, machines
from hms.cluster.node import Node
from hms.cluster.pki import ensure_pki, identities
from hms.cluster.state import ClusterState, read_state, validated_name, write_state
from hms.errors import ClusterError, KubectlError, UsageError
from hms.kubectl import Kubectl
from hms.paths import cache_home, cluster_context, state_home

Progress = Callable[[str], None]

READY_SECONDS = 120.0
POLL_SECONDS = 0.15
SHARE_OF_MEMORY = 0.75
"""Of the host's memory, what the nodes may give to pods; the rest is for the daemons, the caches and the host."""


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of a cluster. `ready` is by node, from the API; empty if the API does not answer."""

    name: str
    nodes: int
    api: str
    kubeconfig: str
    parts: tuple[PartStatus, ...]
    ready: dict[str, bool]
    pods: dict[str, bool]

    @property
    def is_up(self) -> bool:
        """Return whether every part runs and every node is Ready."""
        return (
            all(part.pid is not None for part in self.parts)
            and len(self.ready) == self.nodes
            and all(self.ready.values())
            and all(self.pods.values())
        )


class Cluster:
    """The test cluster of that name, whether it is up or not."""

    def __init__(self, name: str = "default") -> None:
        self.name = validated_name(name)
        self.layout = Layout(self.name)

    @cached_property
    def hierarchies(self) -> cgroups.Hierarchies:
        """The control groups of this host."""
        return cgroups.detect()

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

    def node(self, number: int) -> Node:
        """Return node `number`, from 1; `UsageError` if the cluster has no such node."""
        count = self.state().nodes
        if not 1 <= number <= count:
            raise UsageError(f"node {number}: cluster {self.name!r} has nodes 1 to {count}")
        return Node(self, number)

    def machine(self, name: str) -> Machine:
        """Return the machine of that name: `control` or `node-N`."""
        return Machine(self.layout, name, self.hierarchies)

    def machines(self) -> Sequence[Machine]:
        """Return the control plane and the nodes."""
        return machines(self.layout, self.state().nodes, self.hierarchies)

    # Making

    def up(self, *, nodes: int = 3, progress: Progress) -> None:
        """Make the cluster, or repair it, and return when its nodes are Ready and names resolve.

        What runs is left alone. If it fails or is interrupted, what this call started is removed again, and so is the
        cluster if this call made it.
        """
        if not 1 <= nodes <= MAXIMUM_NODES:
            raise UsageError(f"--nodes {nodes}: 1 to {MAXIMUM_NODES}")
        with self.locked(progress):
            found = read_state(self.layout.home)
            if found is not None and found.nodes != nodes:
                raise UsageError(
                    f"cluster {self.name!r} has {found.nodes} nodes, not {nodes}",
                    remedy=f"Name {found.nodes}, or run `hms cluster down --name {self.name}` first.",
                )
            started: list[Machine] = []
            try:
                self._up(found, nodes, started, progress)
            except BaseException:
                for machine in started:
                    machine.power_off()
                if found is None:
                    self._remove()
                raise

    def _up(self, found: ClusterState | None, nodes: int, started: list[Machine], progress: Progress) -> None:
        began = time.monotonic()

        def tell(line: str) -> None:
            progress(f"{time.monotonic() - began:5.1f} s  {line}")

        if found is None or not all(machine.pid() for machine in self.machines()):
            preflight.check(self.layout.home, nodes)
            tell("this machine has what it needs")
        state = found or self._new_state(nodes)
        archives = [ensure_archive(image, cache_home() / "cluster-images") for image in system_images(find_binaries())]
        references = dict(zip(("pause", "coredns", "metrics_server"), (name for name, _ in archives), strict=True))
        ensure_pki(self.layout.pki, identities(Addresses(state.index), nodes))
        settings = self._settings(state, references["pause"])
        tell("certificates and system images are there")
        with ThreadPoolExecutor(max_workers=nodes + 2) as pool:
            state = self._start_machines(state, settings, started, pool)
            tell("machines run")
            loads = [pool.submit(self._load_system_images, number, [path for _, path in archives])
                     for number in range(1, nodes + 1)]  # fmt: skip
            self._write_kubeconfig(state, settings)
            kubectl = self.kubectl()
            self._await_api(kubectl)
            tell("the API server answers")
            self._apply_manifests(kubectl, settings, references)
            for load in loads:
                load.result()
            tell("system images are in the nodes")
        self._await_nodes(kubectl, nodes)
        tell("nodes are Ready")
        self._await_names(kubectl)
        tell("names resolve")

    def _new_state(self, nodes: int) -> ClusterState:
        # Two clusters made at once must not choose one index.
        with _locked(state_home() / "clusters" / ".indexes.lock"):
            others = (read_state(path.parent) for path in (state_home() / "clusters").glob("*/state.json"))
            taken = [other.index for other in others if other is not None]
            state = ClusterState(
                name=self.name, index=preflight.free_index(taken, preflight.host_networks()), nodes=nodes
            )
            self.layout.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_state(self.layout.home, state)
        return state

    def _settings(self, state: ClusterState, pause_image: str) -> parts.Settings:
        total = preflight.memory_bytes("MemTotal")
        return parts.Settings(
            layout=self.layout, addresses=Addresses(state.index), nodes=state.nodes, api_port=state.api_port,
            binaries=find_binaries(), pause_image=pause_image, cgroup_version=self.hierarchies.version,
            total_memory_bytes=total, node_memory_bytes=int(total * SHARE_OF_MEMORY) // state.nodes,
            can_raise_oom_score=preflight.has_capability(preflight.CAP_SYS_RESOURCE),
        )  # fmt: skip

    def _start_machines(
        self, state: ClusterState, settings: parts.Settings, started: list[Machine], pool: ThreadPoolExecutor
    ) -> ClusterState:
        """Start every machine that is off and lay the missing wires; return the state with the port."""
        control, *node_machines = self.machines()

        def boot(machine: Machine, plan: parts.Plan) -> Boot | None:
            if machine.pid() is not None:
                return None
            started.append(machine)
            machine.power_off()  # Leftovers of a machine whose first process was killed alone.
            return machine.boot(plan)

        boots = [pool.submit(boot, control, parts.control_plane(settings))]
        boots += [pool.submit(boot, machine, parts.node(settings, number))
                  for number, machine in enumerate(node_machines, start=1)]  # fmt: skip
        results: list[Boot | None] = []
        try:
            results = [future.result() for future in boots]
            if results[0] is not None:
                state = msgspec.structs.replace(state, api_port=results[0].port)
                write_state(self.layout.home, state)
            self._wire(state)
            for result in results:
                if result is not None:
                    result.go()
        finally:
            for result in results:
                if result is not None:
                    result.cancel()
        return state

    def _wire(self, state: ClusterState) -> None:
        addresses = Addresses(state.index)
        control_pid, *node_pids = (self._pid(machine) for machine in self.machines())
        network.make_bridge(control_pid, addresses)
        for number, pid in enumerate(node_pids, start=1):
            network.attach_node(control_pid, pid, number, state.nodes, addresses)

    def _pid(self, machine: Machine) -> int:
        pid = machine.pid()
        if pid is None:
            raise ClusterError(f"{machine.name}: ended as soon as it was started",
                               remedy=f"See {self.layout.log(machine.name, 'machine')}.")  # fmt: skip
        return pid

    def control_pid(self) -> int:
        """Return the control plane's first process; `ClusterError` if it is off."""
        pid = self.machine(CONTROL).pid()
        if pid is None:
            raise ClusterError(f"cluster {self.name!r}: its control plane is off",
                               remedy=f"Run `hms cluster up --name {self.name}`.")  # fmt: skip
        return pid

    def start_node(self, number: int) -> None:
        """Start a node that is off, as after a power loss, and lay its wire."""
        state = self.state()
        machine = self.machine(node_name(number))
        if machine.pid() is not None:
            return
        control_pid = self.control_pid()
        pause = next(image for image in system_images(find_binaries()) if image.name == "pause")
        machine.power_off()
        boot = machine.boot(parts.node(self._settings(state, pause.reference()), number))
        try:
            network.attach_node(control_pid, self._pid(machine), number, state.nodes, Addresses(state.index))
            boot.go()
        finally:
            boot.cancel()

    def _load_system_images(self, number: int, archives: Sequence[Path]) -> None:
        store = self._store(number)
        deadline = time.monotonic() + READY_SECONDS
        while not store.socket.exists():
            if time.monotonic() > deadline:
                log = self.layout.log(node_name(number), "containerd")
                raise ClusterError(f"{store.node}: containerd did not start within {READY_SECONDS:g} s",
                                   remedy=f"See {log}.")  # fmt: skip
            time.sleep(0.05)
        load_images([store], archives, lambda _: None)

    def _store(self, number: int) -> ImageStore:
        return ImageStore(node_name(number), self.layout.containerd_socket(number), find_binaries()["ctr"])

    def _write_kubeconfig(self, state: ClusterState, settings: parts.Settings) -> None:
        text = parts.kubeconfig(
            settings, "admin", f"https://127.0.0.1:{state.api_port}", context=cluster_context(self.name)
        )
        partial = self.layout.home / "kubeconfig.partial"
        partial.touch(mode=0o600)
        partial.write_text(text)
        os.replace(partial, self.layout.kubeconfig)

    def _apply_manifests(self, kubectl: Kubectl, settings: parts.Settings, references: dict[str, str]) -> None:
        values = {**references, "dns_service": str(settings.addresses.dns_service)}
        sources = sorted(Path(__file__).with_name("manifests").glob("*.yaml"))
        rendered = [Template(path.read_text(), undefined=StrictUndefined).render(values) for path in sources]
        kubectl.within("kube-system").run("apply", "-f", "-", stdin="\n---\n".join(rendered), timeout_seconds=60.0)

    # Waiting

    def _await_api(self, kubectl: Kubectl) -> None:
        self._await("the API server", "apiserver", lambda: kubectl.run("get", "--raw=/readyz") == "ok")

    def _await_nodes(self, kubectl: Kubectl, nodes: int) -> None:
        def all_ready() -> bool:
            ready = node_readiness(kubectl)
            return len(ready) == nodes and all(ready.values())

        self._await("the nodes", "node-1-kubelet", all_ready)

    def _await_names(self, kubectl: Kubectl) -> None:
        self._await("CoreDNS", "node-1-kubelet", lambda: system_readiness(kubectl).get("coredns", False))

    def _await(self, what: str, log: str, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        reason = ""
        while time.monotonic() < deadline:
            try:
                if is_done():
                    return
            except KubectlError as error:
                reason = f": {error.message}"
            time.sleep(POLL_SECONDS)
        raise ClusterError(
            f"cluster {self.name!r}: {what} not ready within {READY_SECONDS:g} s{reason}",
            remedy=f"See {self.layout.logs / log}.log, and `hms cluster status --name {self.name}`.",
        )

    # Asking

    def status(self) -> ClusterStatus:
        """Return what runs and what does not; `ClusterError` if there is no such cluster."""
        state = self.state()
        found = [part for machine in self.machines() for part in machine.parts()]
        ready: dict[str, bool] = {}
        pods: dict[str, bool] = {}
        if self.layout.kubeconfig.exists():
            kubectl = self.kubectl()
            try:
                ready, pods = node_readiness(kubectl), system_readiness(kubectl)
            except KubectlError:
                ready, pods = {}, {}
        return ClusterStatus(
            name=self.name, nodes=state.nodes, api=f"https://127.0.0.1:{state.api_port}",
            kubeconfig=str(self.layout.kubeconfig), parts=tuple(found), ready=ready, pods=pods,
        )  # fmt: skip

    def run(self, argv: Sequence[str]) -> int:
        """Run a program inside the control plane's network namespace and return its exit code.

        There pods, Services' pods and nodes have their own addresses; `KUBECONFIG` is set for this program only.
        """
        environment = {**os.environ, "PATH": search_path(), "KUBECONFIG": str(self.layout.kubeconfig)}
        return subprocess.run(network.within(self.control_pid(), argv), check=False, env=environment).returncode

    def load_images(self, archives: Sequence[Path], progress: Progress) -> None:
        """Load image archives into every node at once, except those that a node has."""
        load_images([self._store(number) for number in range(1, self.state().nodes + 1)], archives, progress)

    # Removing

    def down(self, *, progress: Progress) -> bool:
        """Remove the cluster with its volumes, and whatever a crash left of one; return whether there was anything."""
        with self.locked(progress):
            existed = self.layout.home.exists() or bool(self._groups())
            self._remove()
        self.layout.lock.unlink(missing_ok=True)
        return existed

    def _groups(self) -> list[Path]:
        name = self.layout.group.strip("/")
        return [root / name for root in self.hierarchies.roots if (root / name).exists()]

    def _remove(self) -> None:
        for machine in (
            self.machine(path.name) for group in self._groups() for path in group.iterdir() if path.is_dir()
        ):
            machine.power_off()
        cgroups.kill(self.hierarchies, self.layout.group)
        cgroups.remove(self.hierarchies, self.layout.group)
        shutil.rmtree(self.layout.home, ignore_errors=True)
        if self.layout.home.exists():
            raise ClusterError(
                f"{self.layout.home}: cannot be removed", remedy="See whether something is mounted there."
            )

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Hold the cluster for one command; a second one waits, and says so."""
        with _locked(
            self.layout.lock, lambda: progress(f"another command holds cluster {self.name!r}: waiting for it")
        ):
            yield


@contextmanager
def _locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Who held it before may have removed the file: then this is a lock on nothing.
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                yield
                return
        finally:
            os.close(descriptor)


def node_readiness(kubectl: Kubectl) -> dict[str, bool]:
    """Return for each node whether it is Ready."""
    return {
        item["metadata"]["name"]: any(
            condition["type"] == "Ready" and condition["status"] == "True" for condition in item["status"]["conditions"]
        )
        for item in kubectl.get("nodes", timeout_seconds=10.0)["items"]
    }


def system_readiness(kubectl: Kubectl) -> dict[str, bool]:
    """Return for each of the cluster's own Deployments whether at least one of its pods is ready."""
    items = kubectl.within("kube-system").get("deployments", timeout_seconds=10.0)["items"]
    return {item["metadata"]["name"]: item.get("status", {}).get("readyReplicas", 0) > 0 for item in items}
