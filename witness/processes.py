"""What /proc says of Postgres's processes, seen from a container that shares their process namespace and their user."""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECEIVER = re.compile(rb"^postgres: (?:\S+: )?walreceiver\b")
STARTUP = re.compile(rb"^postgres: (?:\S+: )?startup\b")
_SIGTERM_BIT = 1 << (signal.SIGTERM - 1)


@dataclass(frozen=True, slots=True)
class Process:
    """One process: `state` is the kernel's letter (`T` is stopped), `started` in the kernel's ticks since boot."""

    pid: int
    name: str
    state: str
    parent: int
    started: int


def process(pid: int) -> Process | None:
    """Return a process, or None if there is none of this number."""
    try:
        head, _, tail = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = tail.split()
    return Process(pid, head.partition("(")[2], fields[0], int(fields[1]), int(fields[19]))


@dataclass(frozen=True, slots=True)
class Server:
    """A postmaster: its process, and when that started, in ticks since boot."""

    pid: int
    started: int


def server_of(data: Path) -> Server | None:
    """Return the server that runs on a data directory; one in single-user mode is none."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    found = process(pid)
    return None if found is None or found.name != "postgres" else Server(pid, found.started)


def title(pid: int) -> bytes:
    """Return a process's command line, where Postgres's processes say what they are; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def receivers_of(data: Path) -> list[Process]:
    """Return the living WAL receivers of the server of a data directory, which is where its processes stand."""
    found = (process(pid) for pid in _pids() if RECEIVER.search(title(pid)) and _stands_in(pid, data))
    return [p for p in found if p is not None and p.state not in {"Z", "X"}]


def is_promoting(data: Path) -> bool:
    """Tell whether a `pg_ctl` of that data directory is still at work."""
    return any(title(pid).split(b"\0")[0].endswith(b"pg_ctl") and bytes(data) in title(pid) for pid in _pids())


def _stands_in(pid: int, data: Path) -> bool:
    # Followed, not read: the name may be another one in that container.
    try:
        return Path(f"/proc/{pid}/cwd").stat().st_ino == data.stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def waits(pid: int) -> bool:
    """Tell whether a process sleeps in epoll, where a Postgres process waits for news and holds no lock."""
    try:
        return Path(f"/proc/{pid}/wchan").read_text().startswith(("ep_poll", "do_epoll_wait"))
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_told_to_end(pid: int) -> bool:
    """Tell whether SIGTERM is pending on a process: once it goes on, it ends before it does anything else."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    pending = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", status, re.MULTILINE)
    return any(int(mask, 16) & _SIGTERM_BIT for mask in pending)


def descends_from_startup(pid: int, generations: int = 3) -> bool:
    """Tell whether a process was started, at most so many steps above, by a living startup process of Postgres."""
    for _ in range(generations):
        found = process(pid)
        if found is None:
            return False
        pid = found.parent
        if STARTUP.search(title(pid)):
            return True
    return False


def send(pid: int, number: int) -> bool:
    """Send a signal; return whether there was such a process."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())
