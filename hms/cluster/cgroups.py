"""The control groups of a cluster: what holds every process of it, and so what finds them all again.

`/hms-NAME` at the root of the hierarchy (of each hierarchy, where the kernel has version 1), below it one group a
machine, in that `daemons` for ours and `kubepods` for the kubelet's.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from hms.errors import ClusterError

WANTED_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
DELEGATED_CONTROLLERS = (*WANTED_CONTROLLERS, "io", "hugetlb")
"""With version 2 the kubelet refuses a root group that lacks one of these which the host has."""
REMOVE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where the kernel has its control groups: one root for version 2, one per controller for version 1."""

    version: int
    roots: tuple[Path, ...]
    controllers: frozenset[str]

    def freezer(self) -> Path:
        """Return the root under which a group can be frozen, and which counts every process once."""
        if self.version == 2:
            return self.roots[0]
        for root in self.roots:
            if (root / "cgroup.procs").exists() and root.name == "freezer":
                return root
        raise ClusterError("cgroup v1 without the freezer controller", remedy="Mount it at /sys/fs/cgroup/freezer.")


def parse_mounts(mounts: str) -> tuple[list[Path], dict[Path, frozenset[str]]]:
    """Return the version-2 roots, and the version-1 roots with their controllers, of a /proc/mounts."""
    unified: list[Path] = []
    legacy: dict[Path, frozenset[str]] = {}
    for line in mounts.splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified.append(Path(target))
        elif kind == "cgroup":
            legacy[Path(target)] = frozenset(options.split(",")) - {"rw", "ro", "relatime", "nosuid", "nodev", "noexec"}
    return unified, legacy


def detect() -> Hierarchies:
    """Return what this machine has; version 1 counts as soon as the memory controller is on it."""
    unified, legacy = parse_mounts(Path("/proc/mounts").read_text())
    on_legacy = frozenset[str]().union(*legacy.values()) if legacy else frozenset[str]()
    if "memory" in on_legacy:
        # On a hybrid host runc makes groups in the unified hierarchy, too, though no controller is on it.
        return Hierarchies(1, (*legacy, *unified), on_legacy)
    if unified:
        controllers = frozenset((unified[0] / "cgroup.controllers").read_text().split())
        return Hierarchies(2, (unified[0],), controllers)
    raise ClusterError("no control groups are mounted", remedy="Mount cgroup2 at /sys/fs/cgroup.")


def prepare(hierarchies: Hierarchies, group: str) -> list[Path]:
    """Make a group and its parents, able to hold processes of every kind; return its directory in each hierarchy."""
    return [_prepare_in(hierarchies, root, group) for root in hierarchies.roots]


def _prepare_in(hierarchies: Hierarchies, root: Path, group: str) -> Path:
    directory = root
    for part in group.strip("/").split("/"):
        parent, directory = directory, directory / part
        if hierarchies.version == 2:
            _enable_controllers(parent, hierarchies.controllers)
        directory.mkdir(exist_ok=True)
        if hierarchies.version == 1 and (directory / "cpuset.cpus").exists():
            # A new cpuset of version 1 is empty, and an empty one takes no process.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not (directory / name).read_text().strip():
                    (directory / name).write_text((parent / name).read_text())
    return directory


def favour(hierarchies: Hierarchies, group: str, *, factor: int) -> None:
    """Give the group as much CPU time under contention as `factor` ordinary processes beside it would get."""
    for directory in prepare(hierarchies, group):
        for name, ordinary in (("cpu.shares", 1024), ("cpu.weight", 100)):
            if (directory / name).exists():
                (directory / name).write_text(str(ordinary * factor))


def _enable_controllers(directory: Path, available: frozenset[str]) -> None:
    enabled = (directory / "cgroup.subtree_control").read_text().split()
    missing = [c for c in DELEGATED_CONTROLLERS if c in available and c not in enabled]
    if missing:
        (directory / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in missing))


def processes(hierarchies: Hierarchies, group: str) -> set[int]:
    """Return the ids of every process in the group and below it; empty if there is no such group."""
    found: set[int] = set()
    for directory, _, _ in os.walk(hierarchies.freezer() / group.strip("/")):
        try:
            found.update(int(line) for line in (Path(directory) / "cgroup.procs").read_text().split())
        except OSError:  # The group went away while it was looked at.
            continue
    return found


def freeze(hierarchies: Hierarchies, group: str, *, frozen: bool, timeout_seconds: float = 10.0) -> None:
    """Freeze or thaw every process of the group and wait until the kernel says that it is done."""
    directory = hierarchies.freezer() / group.strip("/")
    if hierarchies.version == 2:
        control, value, answer, wanted = "cgroup.freeze", str(int(frozen)), "cgroup.events", f"frozen {int(frozen)}"
    else:
        wanted = "FROZEN" if frozen else "THAWED"
        control, value, answer = "freezer.state", wanted, "freezer.state"
    deadline = time.monotonic() + timeout_seconds
    while True:
        # Version 1 may stay FREEZING until the state is asked for again.
        (directory / control).write_text(value)
        if wanted in (directory / answer).read_text():
            return
        if time.monotonic() > deadline:
            raise ClusterError(f"{directory}: not {'frozen' if frozen else 'thawed'} within {timeout_seconds:g} s")
        time.sleep(0.005)


def is_frozen(hierarchies: Hierarchies, group: str) -> bool:
    """Return whether the group was frozen."""
    directory = hierarchies.freezer() / group.strip("/")
    try:
        if hierarchies.version == 2:
            return (directory / "cgroup.freeze").read_text().strip() == "1"
        return (directory / "freezer.state").read_text().strip() != "THAWED"
    except FileNotFoundError:
        return False


def kill(hierarchies: Hierarchies, group: str, *, timeout_seconds: float = REMOVE_SECONDS) -> None:
    """Kill every process of the group, frozen ones too, and wait for their end."""
    deadline = time.monotonic() + timeout_seconds
    while pids := processes(hierarchies, group):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        # A frozen process dies when it is thawed, before it runs another instruction of its own.
        if is_frozen(hierarchies, group):
            freeze(hierarchies, group, frozen=False)
        if time.monotonic() > deadline:
            raise ClusterError(f"cgroup {group}: processes {sorted(pids)} outlive SIGKILL for {timeout_seconds:g} s")
        time.sleep(0.01)


def remove(hierarchies: Hierarchies, group: str, *, timeout_seconds: float = REMOVE_SECONDS) -> None:
    """Remove the group and all below it in every hierarchy; its processes must be gone."""
    deadline = time.monotonic() + timeout_seconds
    for root in hierarchies.roots:
        top = root / group.strip("/")
        while top.exists():
            for directory, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:  # The kernel lets go of a dead process's group a moment after it.
                    continue
            if top.exists():
                if time.monotonic() > deadline:
                    raise ClusterError(f"{top}: cannot be removed; it still holds {processes(hierarchies, group)}")
                time.sleep(0.02)
