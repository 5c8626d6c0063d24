"""A machine of the cluster as the host sees it: the control plane or a node."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hms.cluster import cgroups
from hms.cluster.binaries import search_path
from hms.cluster.cgroups import Hierarchies
from hms.cluster.layout import CONTROL, INSIDE, Layout
from hms.cluster.parts import Plan
from hms.errors import ClusterError


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One daemon: `pid` is the host's, or none if it does not run."""

    machine: str
    name: str
    pid: int | None
    log: Path


class Boot:
    """A machine whose namespaces are made and whose daemons wait for its network: `go` lets them start.

    If this object is dropped without `go`, the machine ends.
    """

    def __init__(self, *, pid: int, port: int, gate: int) -> None:
        self.pid = pid
        self.port = port
        self._gate: int | None = gate

    def go(self) -> None:
        """Let the machine's daemons start."""
        if self._gate is not None:
            os.write(self._gate, b"go\n")
            self.cancel()

    def cancel(self) -> None:
        """Close the gate; a machine that was not told to go ends."""
        if self._gate is not None:
            os.close(self._gate)
            self._gate = None


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, known by its control group: no record of ours can be wrong about which processes it has."""

    layout: Layout
    name: str
    hierarchies: Hierarchies

    @property
    def directory(self) -> Path:
        """Its own directory."""
        return self.layout.machine(self.name)

    def pid(self) -> int | None:
        """Return the host's id of its process 1, or nothing if it is off."""
        depth = len(namespace_pids(os.getpid())) + 1
        for pid in cgroups.processes(self.hierarchies, self.layout.daemons_group(self.name)):
            inside = namespace_pids(pid)
            if len(inside) == depth and inside[-1] == 1:
                return pid
        return None

    def boot(self, plan: Plan) -> Boot:
        """Make the machine's namespaces and mounts and return it, its daemons waiting; it must be off."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        for path, text in plan.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.directory / "containerd.sock").unlink(missing_ok=True)
        description = self.directory / "machine.json"
        description.write_text(json.dumps(self._description(plan), indent=2))
        gate_read, gate_write = os.pipe()
        try:
            with self.layout.log(self.name, "machine").open("ab") as log:
                done = subprocess.run(
                    [sys.executable, "-I", "-S", str(Path(__file__).with_name("supervisor.py")), str(description)],
                    stdin=gate_read, stdout=subprocess.PIPE, stderr=log, check=False, start_new_session=True,
                    # The daemons must not inherit a proxy, a kubeconfig or a secret of the user's.
                    env={"PATH": search_path(), "HOME": str(Path.home())},
                )  # fmt: skip
        except BaseException:
            os.close(gate_write)
            raise
        finally:
            os.close(gate_read)
        if done.returncode != 0 or not done.stdout:
            os.close(gate_write)
            log_path = self.layout.log(self.name, "machine")
            raise ClusterError(f"{self.name}: cannot be started: {last_line(log_path)}", remedy=f"See {log_path}.")
        answer = json.loads(done.stdout)
        return Boot(pid=answer["pid"], port=answer.get("port", 0), gate=gate_write)

    def _description(self, plan: Plan) -> dict[str, object]:
        group = self.layout.daemons_group(self.name)
        log_directory = self.directory / "log"
        log_directory.mkdir(exist_ok=True)
        return {
            "hostname": self.name,
            "cgroups": [str(directory) for directory in cgroups.prepare(self.hierarchies, group)],
            "listen": plan.listen,
            "binds": [[str(self.directory), str(INSIDE)], [str(log_directory), "/var/log"]],
            "parts": [
                {
                    "name": part.name,
                    "argv": part.argv,
                    "log": str(self.layout.log(self.name, part.name)),
                    "wait_for": part.wait_for,
                    "serves_host": part.serves_host,
                    "environment": dict(part.environment),
                }
                for part in plan.parts
            ],
        }

    def power_off(self) -> int:
        """Kill every process of the machine at once, as a power loss does; return how many there were."""
        group = self.layout.machine_group(self.name)
        count = len(cgroups.processes(self.hierarchies, group))
        pid = self.pid()
        if pid is not None:
            # The end of process 1 ends its whole PID namespace: no process sees another one die first.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cgroups.kill(self.hierarchies, group)
        return count

    def set_frozen(self, frozen: bool) -> None:
        """Stop or resume every process of the machine, daemons and pods."""
        cgroups.freeze(self.hierarchies, self.layout.machine_group(self.name), frozen=frozen)

    def is_frozen(self) -> bool:
        """Return whether the machine is frozen."""
        return cgroups.is_frozen(self.hierarchies, self.layout.machine_group(self.name))

    def parts(self) -> list[PartStatus]:
        """Return each daemon of the machine, as it was last started, with the process it has now."""
        try:
            described = json.loads((self.directory / "machine.json").read_text())["parts"]
        except FileNotFoundError:
            return []
        running = {
            command_line(pid): pid for pid in cgroups.processes(self.hierarchies, self.layout.daemons_group(self.name))
        }
        return [
            PartStatus(self.name, part["name"], running.get(tuple(part["argv"])), Path(part["log"]))
            for part in described
        ]


def namespace_pids(pid: int) -> tuple[int, ...]:
    """Return a process's id in each PID namespace that it is in, ours first; empty if it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return tuple(int(number) for number in line.split()[1:])
    return ()


def command_line(pid: int) -> tuple[str, ...]:
    """Return a process's arguments; empty if it is gone."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(argument.decode(errors="replace") for argument in raw.split(b"\0")[:-1])


def last_line(path: Path) -> str:
    """Return the last line of a log, or that there is none."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return lines[-1] if lines else f"{path} is empty"


def machines(layout: Layout, nodes: int, hierarchies: Hierarchies) -> Sequence[Machine]:
    """Return the control plane and the nodes, in this order."""
    names = [CONTROL, *(f"node-{number}" for number in range(1, nodes + 1))]
    return [Machine(layout, name, hierarchies) for name in names]
