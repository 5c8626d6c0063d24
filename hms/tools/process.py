"""Run a long outside command: its lines as they come, a tick when none come, and no child left behind."""

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hms.errors import ToolError

STOP_SECONDS = 10.0
KEPT_LINES = 12


def run_watched(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    on_tick: Callable[[float], None],
    tick_seconds: float = 10.0,
) -> None:
    """Run `command` to its end; `ToolError` with its last lines if it fails.

    `on_line` gets every line of its output, `on_tick` the seconds since its start, every `tick_seconds`. When this
    process is interrupted the child's session is stopped before the exception goes on; when this process is killed
    outright, the kernel interrupts the child.
    """
    started = time.monotonic()
    last: deque[str] = deque(maxlen=KEPT_LINES)
    child = subprocess.Popen(
        [*_dies_with_parent(), *command],
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        for line in _lines(child, started=started, on_tick=on_tick, tick_seconds=tick_seconds):
            last.append(line)
            on_line(line)
        code = child.wait()
    finally:
        _stop(child)
    if code != 0:
        shown = "".join(f"\n    {line}" for line in last)
        seconds = time.monotonic() - started
        raise ToolError(f"`{' '.join(command[:3])} ...`: exit code {code} after {seconds:.0f} s{shown}")


def _dies_with_parent() -> list[str]:
    """Return the prefix under which the kernel interrupts a command when its parent dies, if the machine has it.

    SIGINT and not SIGKILL: the Go command then removes its work directory.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []


def _lines(
    child: subprocess.Popen[bytes], *, started: float, on_tick: Callable[[float], None], tick_seconds: float
) -> Iterator[str]:
    """Yield the child's lines until its output ends, ticking while it is silent and while it talks."""
    if child.stdout is None:
        raise ToolError(f"{child.args!r}: started without a pipe")
    pending = b""
    tick_at = started + tick_seconds
    with child.stdout as output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            ready = selector.select(max(0.0, tick_at - time.monotonic()))
            if time.monotonic() >= tick_at:
                on_tick(time.monotonic() - started)
                tick_at += tick_seconds
            if not ready:
                continue
            data = os.read(output.fileno(), 65536)
            if not data:
                break
            *whole, pending = (pending + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
    if pending:
        yield pending.decode(errors="replace")


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End what is left of the child's session: ask, wait, then kill."""
    if child.poll() is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
