"""What is left of a test cluster, as the kernel tells it; and waiting for what comes in its own time."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from hms.cluster import Cluster
from hms.errors import KubectlError


def eventually(condition: Callable[[], bool], *, within_seconds: float, what: str) -> float:
    """Ask until the condition holds; return the seconds that it took. Errors of kubectl are answers of "not yet"."""
    began = time.monotonic()
    last = ""
    while time.monotonic() - began < within_seconds:
        try:
            if condition():
                return time.monotonic() - began
        except KubectlError as error:
            last = str(error)
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {within_seconds:g} s {last}")


def remains(name: str) -> list[str]:
    """Return every process, mount and control group of the cluster `name` that the kernel knows of."""
    cluster = Cluster(name)
    found = [f"cgroup {root}/{cluster.layout.group}" for root in cluster.hierarchies.roots
             if (root / cluster.layout.group.strip("/")).exists()]  # fmt: skip
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if f"{cluster.layout.group}/" in (process / "cgroup").read_text():
                found.append(f"process {process.name}")
            if f"{cluster.layout.home}/" in (process / "mountinfo").read_text():
                found.append(f"mount in the namespace of {process.name}")
        except OSError:  # It ended while it was looked at.
            continue
    return found


def await_no_remains(name: str) -> None:
    """Wait until nothing is left; a dead process stays in /proc until the host's init has collected it."""
    eventually(lambda: not remains(name), within_seconds=5, what=f"the end of {name}")
