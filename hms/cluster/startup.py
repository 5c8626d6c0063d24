"""Bringing a cluster up: from whatever runs of it to all of it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from jinja2 import StrictUndefined, Template

from hms.cluster import cgroups, network, parts, preflight
from hms.cluster.addresses import Addresses
from hms.cluster.archive import ensure_archive, system_images
from hms.cluster.binaries import CNI_DIRECTORIES, cni_directory
from hms.cluster.cgroups import Hierarchies
from hms.cluster.files import write_whole
from hms.cluster.images import ImageStore, load_images
from hms.cluster.layout import CONTROL, Layout, node_name
from hms.cluster.machine import Boot, Machine, machines
from hms.cluster.pki import ensure_pki, identities
from hms.cluster.state import ClusterState, write_state
from hms.cluster.status import node_readiness
from hms.errors import ClusterError, KubectlError
from hms.kubectl import Kubectl
from hms.paths import cache_home, cluster_context

READY_SECONDS = 120.0
POLL_SECONDS = 0.15
CPU_FACTOR = 10
"""A cluster is one control group, and the kernel would share a busy host's CPU between it and each single process."""

FIREWALL_CHAIN = "KUBE-ROUTER-FORWARD"
"""Of iptables, made by kube-router once it knows all pods and policies."""

KNOWN_NAME = "kubernetes.default.svc.cluster.local"
SHARE_OF_MEMORY = 0.75
"""Of the host's memory, what the nodes may give to pods; the rest is for the daemons, the caches and the host."""


class Startup:
    """One run of `up` over a cluster that has its state: each step leaves alone what is already there.

    `started` are the machines that this run turned on. `tell` is called with a line per step.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        hierarchies: Hierarchies,
        state: ClusterState,
        binaries: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> None:
        self.started: list[Machine] = []
        self._layout = layout
        self._hierarchies = hierarchies
        self._state = state
        self._binaries = binaries
        self._tell = tell
        self._abandoned = threading.Event()
        self._addresses = Addresses(state.index)
        self._images = system_images(binaries)
        self._kubectl = Kubectl(layout.kubeconfig, cluster_context(state.name), binaries["kubectl"])

    def run(self) -> None:
        """Bring everything up; if that fails or is interrupted, turn off again what this run turned on."""
        try:
            self._run()
        except BaseException:
            self._abandoned.set()
            for machine in self.started:
                machine.power_off()
            raise

    def _run(self) -> None:
        archives = [ensure_archive(image, cache_home() / "cluster-images") for image in self._images]
        ensure_pki(self._layout.pki, identities(self._addresses, self._state.nodes))
        self._tell("certificates and system images are there")
        with ThreadPoolExecutor(max_workers=self._state.nodes + 1) as pool:
            try:
                self._start_machines(pool)
                self._tell("machines run")
                paths = [path for _, path in archives]
                numbers = range(1, self._state.nodes + 1)
                loads = [pool.submit(self._load_system_images, number, paths) for number in numbers]
                self._write_kubeconfig()
                self._await("the API server", "apiserver", self._api_is_ready)
                self._tell("the API server answers")
                self._apply_manifests([reference for reference, _ in archives])
                for load in loads:
                    load.result()
                self._tell("system images are in the nodes")
            except BaseException:
                # Leaving the pool waits for its threads; they wait for nothing any more.
                self._abandoned.set()
                raise
        self._await("the nodes", "node-1-kubelet", self._nodes_are_ready)
        self._tell("nodes are Ready")
        self._await("CoreDNS", "node-1-kubelet", self._names_resolve)
        self._tell("names resolve")
        self._await("the nodes' firewalls", "node-1-kube-router", self._firewalls_stand)
        self._tell("firewalls stand")

    def start_node(self, number: int) -> None:
        """Turn on a node that is off, as after a power loss, and lay its wire."""
        machine = Machine(self._layout, node_name(number), self._hierarchies)
        if machine.pid() is not None:
            return
        boot = self._boot(machine, parts.node(self._settings(), number))
        try:
            control = self._pid(Machine(self._layout, CONTROL, self._hierarchies))
            self._attach(control, self._pid(machine), number)
            boot.go()
        finally:
            boot.cancel()

    # Machines

    def _settings(self) -> parts.Settings:
        total = preflight.memory_bytes("MemTotal")
        return parts.Settings(
            layout=self._layout,
            addresses=self._addresses,
            nodes=self._state.nodes,
            api_port=self._state.api_port,
            binaries=self._binaries,
            cni_directory=cni_directory() or CNI_DIRECTORIES[0],
            pause_image=next(image for image in self._images if image.name == "pause").reference(),
            total_memory_bytes=total,
            node_memory_bytes=int(total * SHARE_OF_MEMORY) // self._state.nodes,
            can_lower_oom_score=preflight.has_capability(preflight.CAP_SYS_RESOURCE),
        )

    def _boot(self, machine: Machine, plan: parts.Plan) -> Boot:
        self.started.append(machine)
        machine.power_off()  # What is left of a machine whose first process alone was killed.
        return machine.boot(plan)

    def _start_machines(self, pool: ThreadPoolExecutor) -> None:
        """Turn on every machine that is off, mend those that hang or are cut off, and lay the missing wires."""
        cgroups.favour(self._hierarchies, self._layout.group, factor=CPU_FACTOR)
        settings = self._settings()
        plans = [parts.control_plane(settings)]
        plans += [parts.node(settings, number) for number in range(1, self._state.nodes + 1)]
        boots: dict[str, Boot] = {}
        futures = {}
        for machine, plan in zip(self._machines(), plans, strict=True):
            if machine.pid() is None:
                futures[machine.name] = pool.submit(self._boot, machine, plan)
            elif machine.is_frozen():
                machine.set_frozen(False)
        try:
            for name, future in futures.items():
                boots[name] = future.result()
            if CONTROL in boots:
                self._state = msgspec.structs.replace(self._state, api_port=boots[CONTROL].port)
                write_state(self._layout.home, self._state)
            self._wire()
            for boot in boots.values():
                boot.go()
        finally:
            for boot in boots.values():
                boot.cancel()

    def _wire(self) -> None:
        control, *nodes = (self._pid(machine) for machine in self._machines())
        network.make_bridge(control, self._addresses)
        for number, pid in enumerate(nodes, start=1):
            self._attach(control, pid, number)
            network.join(control, number)
            network.set_link(control, number, up=True)

    def _attach(self, control: int, node: int, number: int) -> None:
        network.attach_node(control, node, number, self._state.nodes, self._addresses)
        network.refuse_unserved(node, self._addresses)

    def _machines(self) -> Sequence[Machine]:
        return machines(self._layout, self._state.nodes, self._hierarchies)

    def _pid(self, machine: Machine) -> int:
        pid = machine.pid()
        if pid is None:
            log = self._layout.log(machine.name, "machine")
            raise ClusterError(f"{machine.name}: not running", remedy=f"See {log}, and run `hms cluster up`.")
        return pid

    # What is in them

    def _load_system_images(self, number: int, archives: Sequence[Path]) -> None:
        store = ImageStore(node_name(number), self._layout.containerd_socket(number), self._binaries["ctr"])
        deadline = time.monotonic() + READY_SECONDS
        while not store.socket.exists():
            if self._abandoned.wait(0.05):
                return
            if time.monotonic() > deadline:
                log = self._layout.log(node_name(number), "containerd")
                raise ClusterError(
                    f"{store.node}: containerd did not start within {READY_SECONDS:g} s", remedy=f"See {log}."
                )
        load_images([store], archives, lambda _: None)

    def _write_kubeconfig(self) -> None:
        server = f"https://127.0.0.1:{self._state.api_port}"
        text = parts.kubeconfig(self._settings(), "admin", server, context=cluster_context(self._state.name))
        write_whole(self._layout.kubeconfig, text.encode())

    def _apply_manifests(self, references: Sequence[str]) -> None:
        names = [image.name.replace("-", "_") for image in self._images]
        values = {**dict(zip(names, references, strict=True)), "dns_service": str(self._addresses.dns_service)}
        sources = sorted(Path(__file__).with_name("manifests").glob("*.yaml"))
        rendered = [Template(path.read_text(), undefined=StrictUndefined).render(values) for path in sources]
        self._kubectl.within("kube-system").run("apply", "-f", "-", stdin="\n---\n".join(rendered), timeout_seconds=60)
        self._layout.rights.touch()

    # Waiting

    def _api_is_ready(self) -> bool:
        return self._kubectl.run("get", "--raw=/readyz") == "ok"

    def _nodes_are_ready(self) -> bool:
        ready = node_readiness(self._kubectl)
        if len(ready) < self._state.nodes or not all(ready.values()):
            return False
        # After a crash the API still has the words of kubelets that are long dead: ask the living.
        return all(self._kubectl.run("get", "--raw", f"/api/v1/nodes/{name}/proxy/healthz") == "ok" for name in ready)

    def _names_resolve(self) -> bool:
        """Return whether every node gets an answer through the Service of DNS."""
        script = Path(__file__).with_name("resolve.py")
        ask = [sys.executable, "-I", "-S", str(script), str(self._addresses.dns_service), KNOWN_NAME]
        pids = [self._pid(machine) for machine in self._machines()[1:]]
        return all(subprocess.run(network.within(pid, ask), check=False).returncode == 0 for pid in pids)

    def _firewalls_stand(self) -> bool:
        """Return whether every node has the rules through which NetworkPolicies hold: before, pods reach anything."""
        ask = [self._binaries["iptables"], "--wait", "--list-rules", FIREWALL_CHAIN]
        pids = [self._pid(machine) for machine in self._machines()[1:]]
        answers = [subprocess.run(network.within(pid, ask), capture_output=True, check=False) for pid in pids]
        return all(answer.returncode == 0 for answer in answers)

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
            f"cluster {self._state.name!r}: {what} not ready within {READY_SECONDS:g} s{reason}",
            remedy=f"See {self._layout.logs / log}.log, and `hms cluster status --name {self._state.name}`.",
        )
