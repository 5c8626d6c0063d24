"""Calls of pulumi: shown, streamed, and ended in good order when the caller is interrupted."""

import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from hms.errors import StackError, ToolError

Sink = Callable[[str], None]

STOP_SECONDS: Final = 60.0
"""How long pulumi may take to write its state after it was told to stop."""

_TAIL_LINES: Final = 400


def stream(
    argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], line: Sink, stdin: str | None = None
) -> tuple[int, list[str]]:
    """Run a program, pass each line of its output on as it comes, return its exit code and its last lines.

    The program has a process group of its own. If this call is interrupted, the program gets one SIGINT, on which
    pulumi finishes what it has begun and writes its state; only then does the interruption go on.
    """
    process = _start(argv, folder, environment, stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL)
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    reader = threading.Thread(target=_read, args=(process, tail, line), daemon=True)
    reader.start()
    try:
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        process.wait()
    except BaseException:
        _stop(process)
        raise
    finally:
        reader.join(timeout=5)
    return process.returncode, list(tail)


def passthrough(argv: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> int:
    """Run a program on this terminal, questions and all, and return its exit code.

    It shares our process group, so a Ctrl-C reaches it as well; we wait for it to end.
    """
    try:
        process = subprocess.Popen(list(argv), cwd=folder, env=dict(environment))
    except FileNotFoundError as error:
        raise _not_found(argv[0]) from error
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait(timeout=STOP_SECONDS)
        raise


def capture(argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout_seconds: float = 60) -> str:
    """Run a program quietly and return what it printed; `StackError` with its own words if it fails."""
    try:
        done = subprocess.run(
            list(argv), cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout_seconds, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _not_found(argv[0]) from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{shlex.join(argv)}: no end within {timeout_seconds:g} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).removeprefix("error: ")
        raise StackError(f"{shlex.join(argv)}: {said or f'exit code {done.returncode}'}")
    return done.stdout


def _start(argv: Sequence[str], folder: Path, environment: Mapping[str, str], *, stdin: int) -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(
            list(argv), cwd=folder, env=dict(environment), stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", process_group=0,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise _not_found(argv[0]) from error


def _read(process: "subprocess.Popen[str]", tail: "deque[str]", line: Sink) -> None:
    if process.stdout is None:
        return
    with process.stdout as output:
        for text in output:
            tail.append(text.rstrip("\n"))
            line(tail[-1])


def _stop(process: "subprocess.Popen[str]") -> None:
    """Interrupt the program, wait until it has written its state, kill its group only if it does not end."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in _catchable()}
    try:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _catchable() -> tuple[signal.Signals, ...]:
    """Return the signals to ignore while pulumi stops; handlers can be set in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        return ()
    return signal.SIGINT, signal.SIGTERM


def _not_found(program: str) -> ToolError:
    return ToolError(f"{program}: not found", remedy="Run `hms tools` first.")
