"""The kernel's limit of inotify instances: raised for as long as the machine has test clusters, then put back.

The limit counts for all of root's processes together. Debian's is 128, and a cluster of three nodes with the stack on
it takes a quarter of that: beside a few others, or much else that watches files, a kubelet would be left without.
"""

import json
import os
from pathlib import Path

from hms.cluster import cgroups
from hms.cluster.lock import locked

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
RECORD = Path("/run/hms-inotify.json")
"""What the limit was and what it was raised to. Where a restart forgets it, as it forgets the limit itself."""

INSTANCES = 12
INSTANCES_PER_NODE = 16
"""Seen: 7 for the control plane, and 8 to 10 for a node with the stack's pods."""


def wanted(nodes: int) -> int:
    """Return how many instances a cluster of that many nodes may come to use."""
    return INSTANCES + nodes * INSTANCES_PER_NODE


def limit(path: Path = LIMIT) -> int:
    """Return the kernel's limit."""
    return int(path.read_text())


def in_use(processes: Path = Path("/proc")) -> int:
    """Return how many instances root's processes have, for whom the limit counts together."""
    count = 0
    for process in processes.iterdir():
        try:
            if process.name.isdigit() and process.stat().st_uid == 0:
                with os.scandir(process / "fd") as files:
                    count += sum(os.readlink(file) == "anon_inode:inotify" for file in files)
        except OSError:  # It ended while it was looked at.
            continue
    return count


def problem(nodes: int, path: Path = LIMIT) -> str | None:
    """Return why a cluster of that many nodes cannot have its instances: too few, and the limit cannot be raised."""
    have, used = limit(path), in_use()
    if have - used >= wanted(nodes) or os.access(path, os.W_OK):
        return None
    return (
        f"fs.inotify.max_user_instances: {have}, of which {used} are in use, and {nodes} nodes need {wanted(nodes)}; "
        f"it cannot be raised from here: `sysctl fs.inotify.max_user_instances={used + wanted(nodes)}` on the host does"
    )


def reserve(
    hierarchies: cgroups.Hierarchies, group: str, nodes: int, *, path: Path = LIMIT, record: Path = RECORD
) -> str | None:
    """Make the cluster's control group and raise the limit if need be; return a line that tells of it.

    The group is what says that there is a cluster, so that one which is removed meanwhile leaves the limit alone.
    """
    with locked(record.with_suffix(".lock")):
        cgroups.prepare(hierarchies, group)
        have, used = limit(path), in_use()
        if have - used >= wanted(nodes):
            return None
        raised = used + wanted(nodes)
        told = _told(record)
        before = told["before"] if have == told.get("raised") else have
        # First the record: a crash between the two leaves a note of a limit that nobody changed.
        record.write_text(json.dumps({"before": before, "raised": raised}))
        path.write_text(str(raised))
    return f"fs.inotify.max_user_instances: {have} -> {raised} until the machine has no test cluster"


def release(hierarchies: cgroups.Hierarchies, *, path: Path = LIMIT, record: Path = RECORD) -> None:
    """Put the limit back if no cluster of this machine is left, unless somebody else has set it since."""
    with locked(record.with_suffix(".lock")):
        if any(found for root in hierarchies.roots for found in root.glob("hms-*")):
            return
        told = _told(record)
        if limit(path) == told.get("raised"):
            path.write_text(str(told["before"]))
        record.unlink(missing_ok=True)
        record.with_suffix(".lock").unlink()


def _told(record: Path) -> dict[str, int]:
    # A crash may have left half of it: then nobody knows what the limit was, and it stays.
    try:
        told = json.loads(record.read_text())
        return {"before": int(told["before"]), "raised": int(told["raised"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
