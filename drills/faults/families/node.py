"""The drills of whole nodes."""

from drills.faults.fault import EVERYTHING, Fault
from drills.faults.node import FreezeNode, HalfIsolate, Isolate, LosePower, RestartAllNodes

NEW_PRIMARY = "every acknowledged write is on the new primary, whoever was asked"
LEASE_AND_PODS_SECONDS = 150.0

_ONE_NODE: tuple[Fault, ...] = (
    LosePower(
        name="node-power-loss-primary",
        does="takes the power of the node with the Postgres primary until another member leads",
        undone="by giving it power: its kubelet starts its pods again",
        proved_by="the kernel has no process of the node any more",
        stays_true=NEW_PRIMARY,
        seconds=20,
        touches=EVERYTHING,
        needs=("machines",),
        place="apart",
        recovery_seconds=LEASE_AND_PODS_SECONDS,
        victim="primary",
    ),
    LosePower(
        name="node-power-loss-other",
        does="takes the power of a node without the Postgres primary for 5 s",
        undone="by giving it power: its kubelet starts its pods again",
        proved_by="the kernel has no process of the node any more",
        stays_true="Postgres keeps its primary; nothing acknowledged is lost",
        seconds=21,
        touches=EVERYTHING,
        needs=("machines",),
        keeps=frozenset({"postgres"}),
        lasts_seconds=5.0,
        recovery_seconds=LEASE_AND_PODS_SECONDS,
        victim="other",
    ),
    FreezeNode(
        name="node-freeze-primary",
        does="freezes the whole node with the Postgres primary until another member leads",
        undone="by thawing it",
        proved_by="the kernel's freezer says frozen",
        stays_true=NEW_PRIMARY,
        seconds=20,
        touches=EVERYTHING,
        needs=("machines",),
        place="apart",
        recovery_seconds=LEASE_AND_PODS_SECONDS,
        victim="primary",
    ),
    Isolate(
        name="node-isolate-primary",
        does="pulls the cable of the node with the Postgres primary and the drill's clients until another member leads",
        undone="by plugging it in",
        proved_by="no packet passes the cable, until the API server has another leader",
        stays_true="a client that stays with the old primary gets no acknowledgement that is lost later",
        seconds=19,
        touches=EVERYTHING,
        needs=("machines",),
        place="beside",
        cuts_off=True,
        recovery_seconds=LEASE_AND_PODS_SECONDS,
        victim="primary",
    ),
    HalfIsolate(
        name="node-half-isolate-primary",
        does="drops everything between the node with the Postgres primary and one of the others for 10 s",
        undone="by lifting the partition",
        proved_by="neither of the two reaches the other, both reach the third",
        stays_true="Postgres keeps its primary, which commits with the replica that it sees; nothing is lost",
        seconds=20,
        touches=EVERYTHING,
        needs=("machines",),
        keeps=frozenset({"postgres"}),
        lasts_seconds=10.0,
        recovery_seconds=LEASE_AND_PODS_SECONDS,
        victim="primary",
    ),
)

_ALL_NODES: tuple[Fault, ...] = (
    RestartAllNodes(
        name="node-restart-all",
        does="takes the power of all nodes at once and gives it back",
        undone="by giving them power: their kubelets start their pods again",
        proved_by="the kernel has no process of any node",
        stays_true="nothing acknowledged by Postgres is lost: it was on disk",
        seconds=25,
        touches=EVERYTHING,
        needs=("machines",),
        cuts_off=True,
        recovery_seconds=LEASE_AND_PODS_SECONDS,
    ),
)

NODE: tuple[Fault, ...] = (*_ONE_NODE, *_ALL_NODES)
