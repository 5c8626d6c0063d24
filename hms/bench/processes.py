"""Server processes that are started, watched by what they say, frozen, killed and always taken away again."""

import os
import random
import re
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from hms.errors import BenchError

PACKAGES = ("postgresql", "redis-server", "redis-sentinel")
"""Debian packages that have the servers; Postgres from 15 on serves."""

PATIENCE_SECONDS = 120.0
"""How long anything may take on a machine that has other work; nothing waits that long where it does what it should."""


class Process:
    """A child whose output is read line by line, so that one waits for what it says and not for time to pass."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        directory: Path | None = None,
    ) -> None:
        self._child = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment) if environment is not None else None,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=directory,
            text=True,
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def started(self, pattern: str) -> Self:
        """Return this process once it said `pattern`."""
        self.wait_for(pattern)
        return self

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._child.pid

    @property
    def output(self) -> str:
        """Return all that it said until now."""
        return "".join(self.lines)

    def wait_for(self, pattern: str, *, seconds: float = PATIENCE_SECONDS, after: int = 0) -> re.Match[str]:
        """Return the match of `pattern` in the first line that has one, from line `after` on.

        Without one, kill the child and fail.
        """
        found = self._search(pattern, seconds, after)
        if found is None:
            self.kill()
            raise BenchError(f"a server never said {pattern!r}", remedy=f"It said:\n{self.output}")
        return found

    def _search(self, pattern: str, seconds: float, seen: int) -> re.Match[str] | None:
        expression = re.compile(pattern)
        deadline = time.monotonic() + seconds
        with self._said:
            while True:
                for line in self.lines[seen:]:
                    if found := expression.search(line):
                        return found
                seen = len(self.lines)
                if self._ended or not self._said.wait(max(0.0, deadline - time.monotonic())):
                    return None

    def wait(self, *, seconds: float = PATIENCE_SECONDS) -> int:
        """Return the exit code once the child has ended and all it said was read; kills a child that does not end."""
        try:
            code = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._reader.join(seconds)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send the child a signal."""
        self._child.send_signal(number)

    def kill(self) -> None:
        """Kill the child and what it started itself, and wait until all of them are gone."""
        self._child.send_signal(signal.SIGSTOP)  # so that it starts no other while they are listed
        family = [descriptor for pid in self.children() if (descriptor := _opened(pid)) is not None]
        self._child.kill()
        self._child.wait(30)
        for descriptor in family:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL) if not _ended(descriptor, 0) else None
            assert _ended(descriptor, 10)
            os.close(descriptor)
        self._reader.join(10)

    def freeze(self) -> None:
        """Stop the child and its children, as a node does that hangs: sockets stay open, nothing answers."""
        self._child.send_signal(signal.SIGSTOP)  # first, so that it starts no other
        _send(self.children(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the child and its children go on."""
        _send(self.children(), signal.SIGCONT)
        self._child.send_signal(signal.SIGCONT)

    def children(self) -> list[int]:
        """List the processes that the child started."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(pid) for pid in listed.read_text().split()] if listed.exists() else []

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as stream:
            for line in stream:
                with self._said:
                    self.lines.append(line)
                    self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()


def _send(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it ended since it was listed
            os.kill(pid, number)


def _opened(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # it ended since it was listed
        return None


def _ended(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])


def free_port() -> int:
    """Return a port that nobody listens at, below those that the kernel gives to clients, so that it stays free."""
    for _ in range(100):
        port = random.randrange(20_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchError("no port is free between 20000 and 32000", remedy="End what listens there.")


def eventually(holds: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Ask until it holds: for states of other processes that no event tells of."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= deadline:
            raise BenchError(f"what must become true did not within {seconds:g} s")
        time.sleep(0.02)
