"""The programs that a test cluster consists of, and where this machine has them."""

import os
import shutil
from pathlib import Path

from hms.errors import ToolError
from hms.paths import tools_bin

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

BUILT = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
    "coredns", "metrics-server", "kube-router",
)  # fmt: skip

PACKAGED = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "busybox": "busybox-static",
}
"""Each program with the Debian package that has it."""

CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("loopback", "ptp", "host-local", "portmap")


def search_path() -> str:
    """Return the path on which the cluster's programs are found, the tools that `hms tools` chose first."""
    return os.pathsep.join([str(tools_bin()), os.environ.get("PATH", ""), SYSTEM_PATH])


def missing_binaries() -> list[str]:
    """Return a line for each program that is not there."""
    path = search_path()
    lines = [f"{name}: not found" for name in BUILT if shutil.which(name, path=path) is None]
    lines += [
        f"{name}: not found; the Debian package {package} has it"
        for name, package in PACKAGED.items()
        if shutil.which(name, path=path) is None
    ]
    if cni_directory() is None:
        lines.append(
            f"the network plugins {', '.join(CNI_PLUGINS)}: not in {' or '.join(map(str, CNI_DIRECTORIES))}; "
            "the Debian package containernetworking-plugins has them"
        )
    return lines


def cni_directory() -> Path | None:
    """Return the directory that has every network plugin that a pod's network needs."""
    for directory in CNI_DIRECTORIES:
        if all((directory / plugin).exists() for plugin in CNI_PLUGINS):
            return directory
    return None


def find_binaries() -> dict[str, str]:
    """Return the path of every program; `ToolError` names all that are missing."""
    missing = missing_binaries()
    if missing:
        raise ToolError(
            "the test cluster lacks programs:" + "".join(f"\n  - {line}" for line in missing),
            remedy="Run `hms tools` first.",
        )
    path = search_path()
    return {name: str(shutil.which(name, path=path)) for name in (*BUILT, *PACKAGED)}
