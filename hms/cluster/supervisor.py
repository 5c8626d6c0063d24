"""The first process of a machine: makes its namespaces, then keeps its daemons running.

Run as a script, with the standard library alone, so that it is small and starts at once:

    python -I -S supervisor.py MACHINE.json

A machine is one PID, network, mount, UTS and IPC namespace. The kernel ends all of it when this process dies, which
is what makes a power loss one signal, and leaves no process, mount or interface behind.

The protocol with who starts it: it prints `{"pid": ..., "port": ...}` (the port only where the machine has a listening
socket outside), waits for a line on its standard input while the network is being wired, and ends if it gets none.

May import: nothing.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000,
)  # fmt: skip
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 2, 4, 8, 0x1000, 0x4000, 1 << 18, 1 << 20
LISTEN_FD = 20
RELAY_FD = 3
RESTART_AFTER_SECONDS = 0.5
POLL_SECONDS = 0.05

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount something; `OSError` names the target."""
    arguments = [text.encode() for text in (source, target, kind)]
    _checked(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() or None), f"mount {kind or 'bind'} {target}")


def enter_namespaces(machine: Mapping[str, Any]) -> None:
    """Give this process, whose children are to be the machine, the machine's namespaces."""
    for directory in machine["cgroups"]:
        (Path(directory) / "cgroup.procs").write_text("0")
    _checked(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC), "unshare")


def furnish(machine: Mapping[str, Any]) -> None:
    """Set the machine's name and mounts: its own /proc, an empty /run, and what it is given of the run directory."""
    socket.sethostname(machine["hostname"])
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("none", "/", "", MS_REC | MS_SHARED)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    for source, target in machine["binds"]:
        Path(target).mkdir(parents=True, exist_ok=True)
        mount(source, target, "", MS_BIND | MS_REC)


def is_there(condition: Mapping[str, Any]) -> bool:
    """Return whether something listens at a `unix` path or a `tcp` address, or a `file` exists."""
    if "file" in condition:
        return Path(condition["file"]).exists()
    family = socket.AF_UNIX if "unix" in condition else socket.AF_INET
    address = condition["unix"] if "unix" in condition else tuple(condition["tcp"])
    with socket.socket(family) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


class Part:
    """A daemon: what it is started with, and the process it has at present."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.name: str = spec["name"]
        self.argv: list[str] = spec["argv"]
        self.serves_host: bool = spec["serves_host"]
        self.log: str = spec["log"]
        self.environment: dict[str, str] = {**os.environ, **spec["environment"]}
        self.wait_for: list[Mapping[str, Any]] = list(spec["wait_for"])
        self.pid: int | None = None
        self.due_at = time.monotonic()

    def start_if_due(self) -> None:
        """Start the daemon if it has no process, its pause is over, and what it waits for is there."""
        if self.pid is not None or time.monotonic() < self.due_at:
            return
        while self.wait_for:
            if not is_there(self.wait_for[0]):
                return
            self.wait_for.pop(0)
        actions: list[tuple[Any, ...]] = [
            (os.POSIX_SPAWN_OPEN, 1, self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        if self.serves_host:
            actions.append((os.POSIX_SPAWN_DUP2, LISTEN_FD, RELAY_FD))
        # A signal that stays blocked would be inherited; a daemon must get its own.
        self.pid = os.posix_spawn(
            self.argv[0], self.argv, self.environment, setsid=True, setsigmask=(), file_actions=actions
        )

    def ended(self, status: int) -> None:
        """Note that the process is gone; it is started again after a pause."""
        say(f"{self.name}: ended with {os.waitstatus_to_exitcode(status)}, starting it again")
        self.pid = None
        self.due_at = time.monotonic() + RESTART_AFTER_SECONDS


def say(line: str) -> None:
    """Write a line to the machine's own log."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{stamp} {line}", file=sys.stderr, flush=True)


def reap(parts: Sequence[Part]) -> None:
    """Collect every child that ended, the orphans of others included: nobody else does on a machine."""
    by_pid = {part.pid: part for part in parts if part.pid is not None}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid in by_pid:
            by_pid[pid].ended(status)


def supervise(parts: Sequence[Part]) -> None:
    """Start the daemons, and again whenever one ends, for ever: only SIGKILL from outside ends a machine."""
    while True:
        for part in parts:
            part.start_if_due()
        pending = any(part.pid is None for part in parts)
        signal.sigtimedwait([signal.SIGCHLD], POLL_SECONDS if pending else 3600.0)
        reap(parts)


def live(machine: Mapping[str, Any]) -> None:
    """Be the machine, as its process 1."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    furnish(machine)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    if sys.stdin.readline().strip() != "go":
        return
    os.dup2(null, 0)
    parts = [Part(spec) for spec in machine["parts"]]
    say(f"{machine['hostname']}: {', '.join(part.name for part in parts)}")
    supervise(parts)


def listen(host: str, port: int) -> int:
    """Open the machine's listening socket outside as `LISTEN_FD`, on another port if that one is taken; return it."""
    try:
        listener = socket.create_server((host, port), backlog=128)
    except OSError as error:
        say(f"{host}:{port}: {error.strerror}; taking another port")
        listener = socket.create_server((host, 0), backlog=128)
    chosen = int(listener.getsockname()[1])
    # Not inherited by every daemon: a daemon that serves the host gets a copy of its own.
    os.dup2(listener.fileno(), LISTEN_FD, inheritable=False)
    listener.close()
    return chosen


def main() -> None:
    """Start the machine that the file describes."""
    machine = json.loads(Path(sys.argv[1]).read_text())
    answer: dict[str, int] = {}
    if machine["listen"] is not None:
        answer["port"] = listen(*machine["listen"])
    enter_namespaces(machine)
    pid = os.fork()
    if pid == 0:
        live(machine)
    else:
        print(json.dumps({**answer, "pid": pid}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
