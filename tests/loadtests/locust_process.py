"""Locust as its users start it: a process of its own, so that its patches of the standard library stay there."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import msgspec

from hms.evidence import LoadRun
from hms.paths import project_root
from loadtests.plan import RESULT_MARKER

LOCUSTFILE = project_root() / "loadtests" / "locustfile.py"
CLOSED_LOOP = Path(__file__).with_name("closed_loop.py")


def free_port() -> int:
    """Return a port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def locust(*arguments: str, locustfile: Path = LOCUSTFILE) -> Iterator[subprocess.Popen[str]]:
    """Run Locust in the checkout; what still runs at the end is killed."""
    command = [sys.executable, "-m", "locust", "-f", str(locustfile), *arguments]
    with subprocess.Popen(
        command,
        cwd=project_root(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str], *, timeout_seconds: float = 120.0) -> tuple[int, str, str]:
    """Wait for its end, at most so long, and return exit code, standard output and standard error."""
    out, err = process.communicate(timeout=timeout_seconds)
    return process.returncode, out, err


def run(*arguments: str, locustfile: Path = LOCUSTFILE) -> tuple[int, str, str]:
    """Run Locust to its end."""
    with locust(*arguments, locustfile=locustfile) as process:
        return finish(process)


def open_loop_arguments(
    url: str, *, rate: float, seconds: float, streams: int = 1, max_in_flight: int = 512
) -> list[str]:
    """Return the arguments of a run of the scenario `first`."""
    return [
        "--headless", "--only-summary", "--host", url, "--users", str(streams), "--spawn-rate", str(streams),
        "--stream-rate", str(rate), "--stream-seconds", str(seconds), "--max-in-flight", str(max_in_flight),
        "--load-scenario", "first", "First",
    ]  # fmt: skip


def record_in(output: str) -> LoadRun:
    """Return the run's record from what the master printed."""
    lines = [line for line in output.splitlines() if line.startswith(RESULT_MARKER)]
    assert len(lines) == 1, output[-2000:]
    return msgspec.json.decode(lines[0].removeprefix(RESULT_MARKER), type=LoadRun)


def closed_loop_p99_ms(output: str) -> float:
    """Return the 99th percentile, by nearest rank, of Locust's own statistics, as `--json` prints them."""
    stats: list[dict[str, Any]] = json.loads(output[output.index("[") :])
    times = sorted(float(ms) for entry in stats for ms, count in entry["response_times"].items() for _ in range(count))
    return times[ceil(0.99 * len(times)) - 1]
