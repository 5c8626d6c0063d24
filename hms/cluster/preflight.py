"""What this machine must have before a cluster is made on it. Every problem is told at once."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from hms.cluster import cgroups, inotify
from hms.cluster.addresses import INDEXES, Addresses
from hms.cluster.binaries import missing_binaries
from hms.cluster.cgroups import WANTED_CONTROLLERS
from hms.errors import ClusterError

CONTROL_MEMORY_BYTES = 1 << 30
NODE_MEMORY_BYTES = 1 << 30
"""The least with which a node is of use: its daemons take about 300 MB, the control plane's about 600 MB."""

DISK_BYTES = 4 << 30
SOCKET_PATH_BYTES = 107
CAP_SYS_RESOURCE = 24


def memory_bytes(field: str) -> int:
    """Return a field of /proc/meminfo, such as `MemTotal`."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0]) * 1024
    raise ClusterError(f"/proc/meminfo: no {field}")


def has_capability(number: int) -> bool:
    """Return whether this process has the capability of that number."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def host_networks() -> list[IPv4Network]:
    """Return every network that the host has a route to, its default route left out."""
    listed = subprocess.run(["ip", "-4", "route", "show", "table", "all"], capture_output=True, text=True, check=True)
    return parse_routes(listed.stdout)


def parse_routes(text: str) -> list[IPv4Network]:
    """Return the destinations in what `ip route` prints."""
    kinds = {"broadcast", "local", "unreachable", "blackhole", "prohibit", "throw", "multicast", "anycast", "nat"}
    networks = []
    for line in text.splitlines():
        words = [word for word in line.split() if word not in kinds]
        if words and words[0] != "default":
            networks.append(IPv4Network(words[0], strict=False))
    return networks


def free_index(taken: Sequence[int], used: Sequence[IPv4Network]) -> int:
    """Return the first index that no other cluster has and whose ranges the host does not use.

    `ClusterError` tells for each index why not.
    """
    reasons = []
    for index in INDEXES:
        if index in taken:
            reasons.append(f"{Addresses(index).nodes}: another test cluster has it")
            continue
        conflicts = Addresses(index).conflicts(used)
        if not conflicts:
            return index
        reasons.append(f"{Addresses(index).nodes}: {conflicts[0]}")
    raise ClusterError(
        "every address range that a test cluster may have is in use:" + "".join(f"\n  - {line}" for line in reasons),
        remedy="Remove a cluster with `hms cluster down --name NAME`, or the route.",
    )


def kernel_problems() -> list[str]:
    """Return a line for each feature of the kernel that is missing, each tried in a network namespace of its own."""
    trials = {
        "network namespaces and bridges (CONFIG_BRIDGE)": "ip link add hmstest type bridge",
        "veth pairs (CONFIG_VETH)": "ip link add hmstest type veth peer name hmstest2",
        "nftables (CONFIG_NF_TABLES)": "nft add table inet hmstest",
        "nftables on bridges (CONFIG_NF_TABLES_BRIDGE)": "nft add table bridge hmstest",
        "IP sets (CONFIG_IP_SET_HASH_IP)": "ipset create hmstest hash:ip",
        "iptables with sets (CONFIG_NETFILTER_XT_SET)": (
            "ipset create hmstest hash:ip && iptables -A INPUT -m set --match-set hmstest src -j DROP"
        ),
    }
    problems = []
    for feature, trial in trials.items():
        done = subprocess.run(["unshare", "--net", "sh", "-c", trial], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            problems.append(f"the kernel lacks {feature}: {said}")
    # A module is loaded when the file system is first mounted, so its absence from the list says nothing yet.
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        done = subprocess.run(["modprobe", "overlay"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            problems.append("the kernel lacks the overlay file system (CONFIG_OVERLAY_FS)")
    return problems


def resource_problems(home: Path, nodes: int) -> list[str]:
    """Return a line for each resource of which there is not enough."""
    problems = []
    need = CONTROL_MEMORY_BYTES + nodes * NODE_MEMORY_BYTES
    have = memory_bytes("MemAvailable")
    if have < need:
        problems.append(f"memory: {have >> 20} MiB available, {nodes} nodes need {need >> 20} MiB")
    existing = next(parent for parent in (home, *home.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < DISK_BYTES:
        problems.append(f"disk: {free >> 20} MiB free at {existing}, the cluster needs {DISK_BYTES >> 20} MiB")
    if lacking := inotify.problem(nodes):
        problems.append(lacking)
    longest = home / f"node-{nodes}" / "containerd.sock.ttrpc"
    if len(os.fsencode(longest)) > SOCKET_PATH_BYTES:
        problems.append(f"{longest}: {len(os.fsencode(longest))} bytes, a socket's path may have {SOCKET_PATH_BYTES}")
    if Path("/run") in home.resolve().parents:
        problems.append(f"{home}: below /run, which each machine has of its own; set XDG_STATE_HOME")
    return problems


def cgroup_problems() -> list[str]:
    """Return a line for each controller that is missing."""
    try:
        hierarchies = cgroups.detect()
    except ClusterError as error:
        return [str(error)]
    wanted = [*WANTED_CONTROLLERS, *(["freezer", "devices"] if hierarchies.version == 1 else [])]
    return [
        f"cgroup v{hierarchies.version}: no controller {controller}"
        for controller in wanted
        if controller not in hierarchies.controllers
    ]


def check(home: Path, nodes: int) -> None:
    """Raise `ClusterError` with all that stands in the way of a cluster of that many nodes in that run directory."""
    if platform.system() != "Linux":
        raise ClusterError(f"the test cluster needs Linux, this is {platform.system()}", remedy=ELSEWHERE)
    if os.geteuid() != 0:
        raise ClusterError(f"the test cluster needs root, this is user {os.geteuid()}", remedy=ELSEWHERE)
    problems = [*missing_binaries(), *cgroup_problems(), *resource_problems(home, nodes)]
    # The trials themselves need the tools.
    if not problems:
        problems = kernel_problems()
    if problems:
        raise ClusterError(
            "this machine cannot run the test cluster:" + "".join(f"\n  - {problem}" for problem in problems),
            remedy="`hms tools` installs programs; " + ELSEWHERE,
        )


ELSEWHERE = "or use a cluster that you have, with --kubeconfig and --context."
