"""wrk, the generator of load: closed loop, as many requests as the connections carry."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hms.errors import BenchError

_SCRIPT = """
local paths = {{ {paths} }}
local turn = 0
request = function()
  turn = turn % #paths + 1
  return wrk.format("GET", paths[turn])
end
done = function(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.write + summary.errors.timeout
  io.stderr:write(string.format('{{"requests":%d,"seconds":%f,"failed":%d,"p99_ms":%f}}\\n',
    summary.requests, summary.duration / 1e6, failed, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of load saw."""

    requests: int
    seconds: float
    failed: int
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Return the requests answered in a second."""
        return self.requests / self.seconds


def run(url: str, paths: Sequence[str], *, connections: int, seconds: int) -> Load:
    """Ask for `paths` in turn, over and over, on each connection. Raises `BenchError` if any answer is not 2xx."""
    quoted = ", ".join(json.dumps(path) for path in paths)
    with tempfile.TemporaryDirectory(prefix="hms-bench-") as directory:
        script = Path(directory) / "paths.lua"
        script.write_text(_SCRIPT.format(paths=quoted))
        done = subprocess.run(
            [_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    line = done.stderr.strip().splitlines()[-1:] or [""]
    try:
        load = Load(**json.loads(line[0]))
    except (ValueError, TypeError) as error:
        raise BenchError(f"wrk ended with {done.returncode}", remedy=f"{done.stdout}\n{done.stderr}") from error
    if load.failed:
        raise BenchError(f"{load.failed} of {load.requests} requests of the load failed", remedy=done.stdout)
    return load


def _wrk() -> str:
    found = shutil.which("wrk")
    if found is None:
        raise BenchError("no wrk on this machine", remedy="Run `hms tools tests`, or apt-get install wrk.")
    return found
