"""Where a test cluster has its things: every path, group and name derives from the cluster's name."""

from dataclasses import dataclass
from pathlib import Path

from hms.paths import cluster_home, cluster_kubeconfig

CONTROL = "control"

INSIDE = Path("/run/hms")
"""A machine's own directory as the machine sees it: short, so that sockets below it stay within 108 bytes."""


def node_name(number: int) -> str:
    """Return the name of node `number`, from 1."""
    return f"node-{number}"


@dataclass(frozen=True, slots=True)
class Layout:
    """The run directory of the cluster `name`, and its control groups."""

    name: str

    @property
    def home(self) -> Path:
        """The run directory."""
        return cluster_home(self.name)

    @property
    def lock(self) -> Path:
        """What one command at a time holds; beside the run directory, which `down` removes."""
        return self.home.with_name(f"{self.name}.lock")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; it is there once the cluster is up."""
        return cluster_kubeconfig(self.name)

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.home / "pki"

    @property
    def rights(self) -> Path:
        """An empty file, there once the API server has the rights that the machines' own parts need beyond its own."""
        return self.home / "rights"

    @property
    def logs(self) -> Path:
        """One log file for each part."""
        return self.home / "logs"

    @property
    def group(self) -> str:
        """The control group of all of it."""
        return f"/hms-{self.name}"

    def machine(self, machine: str) -> Path:
        """Return a machine's own directory, which it sees as `INSIDE`."""
        return self.home / machine

    def machine_group(self, machine: str) -> str:
        """Return the control group of a machine with its pods."""
        return f"{self.group}/{machine}"

    def daemons_group(self, machine: str) -> str:
        """Return the control group of a machine's daemons."""
        return f"{self.group}/{machine}/daemons"

    def log(self, machine: str, part: str) -> Path:
        """Return the log file of a part of a machine."""
        return self.logs / (f"{part}.log" if machine == CONTROL else f"{machine}-{part}.log")

    def containerd_socket(self, number: int) -> Path:
        """Return the socket of node `number`'s containerd."""
        return self.machine(node_name(number)) / "containerd.sock"
