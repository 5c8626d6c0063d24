"""Which addresses a test cluster has. All of them are inside its own network namespaces; none is on the host."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

INDEXES = range(8)
"""Clusters side by side on one machine."""

MAXIMUM_NODES = 9


@dataclass(frozen=True, slots=True)
class Addresses:
    """The ranges of the cluster with that index.

    Nodes 10.89.i.0/24 (the control plane is .1, node n is .10+n), pods 10.(100+i).0.0/16 (a /24 per node), Services
    10.(120+i).0.0/16 (the API server is .0.1, DNS is .0.10).
    """

    index: int

    @property
    def nodes(self) -> IPv4Network:
        """The wire between the machines."""
        return IPv4Network(f"10.89.{self.index}.0/24")

    @property
    def pods(self) -> IPv4Network:
        """All pods of the cluster."""
        return IPv4Network(f"10.{100 + self.index}.0.0/16")

    @property
    def services(self) -> IPv4Network:
        """All ClusterIPs."""
        return IPv4Network(f"10.{120 + self.index}.0.0/16")

    @property
    def control(self) -> IPv4Address:
        """The control plane on the wire."""
        return self.nodes[1]

    @property
    def api_service(self) -> IPv4Address:
        """The Service `kubernetes`."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        """The Service `kube-dns`."""
        return self.services[10]

    def node(self, number: int) -> IPv4Address:
        """Return node `number`, from 1, on the wire."""
        return self.nodes[10 + number]

    def link(self, number: int) -> str:
        """Return the link-layer address of node `number`, or of the control plane, which is 0."""
        return f"02:48:4d:53:{self.index:02x}:{number:02x}"

    def node_pods(self, number: int) -> IPv4Network:
        """Return the pods' range of node `number`, from 1."""
        return IPv4Network(f"10.{100 + self.index}.{number}.0/24")

    def conflicts(self, used: Iterable[IPv4Network]) -> list[str]:
        """Return a line for each used network that overlaps a range of this cluster; default routes do not count."""
        ranges = {"nodes": self.nodes, "pods": self.pods, "Services": self.services}
        return [
            f"{network} overlaps {own} ({name})"
            for network in used
            if network.prefixlen > 0
            for name, own in ranges.items()
            if network.overlaps(own)
        ]
