"""Who drives a load run: written on its Jobs, so that another driver can tell a run under way from one left behind."""

import os
from pathlib import Path

ANNOTATION = "hms.load/driver"


def _started(pid: int) -> str:
    """Return when a process of this machine began, in the kernel's ticks; empty if it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # The command's name may have spaces and brackets; the fields begin behind the last bracket.
    return stat.rpartition(")")[2].split()[19]


def _machine() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identity() -> str:
    """Return this process: the machine since its last boot, the process id, and when the process began."""
    return f"{_machine()}/{os.getpid()}/{_started(os.getpid())}"


def surely_dead(driver: str) -> bool:
    """Tell whether a driver is known to have ended. One of another machine may live, and one that is unknown too."""
    machine, _, rest = driver.partition("/")
    pid, _, started = rest.partition("/")
    return machine == _machine() and pid.isdigit() and _started(int(pid)) != started
