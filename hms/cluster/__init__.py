"""The test cluster: a real Kubernetes of several nodes on one Linux machine, with no way out.

Each machine of it, the control plane and the nodes, is a set of kernel namespaces and a control group. The kernel keeps
the record: what runs is found by its control group, and the end of a machine's first process ends all of it.

May import: hms' nouns. The scripts `supervisor`, `relay` and `resolve` import nothing.
"""

from hms.cluster.cluster import Cluster
from hms.cluster.machine import PartStatus
from hms.cluster.node import Node
from hms.cluster.status import ClusterStatus

__all__ = ["Cluster", "ClusterStatus", "Node", "PartStatus"]
