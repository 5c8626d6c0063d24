"""A node and what can happen to it: power loss, a hang, a pulled cable, a partition."""

from typing import TYPE_CHECKING

from hms.cluster import network
from hms.cluster.layout import node_name

if TYPE_CHECKING:
    from hms.cluster.cluster import Cluster


class Node:
    """Node `number`, from 1, of a cluster that is up. Each fault returns once the kernel has done it."""

    def __init__(self, cluster: "Cluster", number: int) -> None:
        self._cluster = cluster
        self.number = number
        self.name = node_name(number)
        self._machine = cluster.machine(self.name)

    def stop(self) -> int:
        """Lose the node's power: every process of it is killed at once and its link is gone.

        Its disk stays. Returns how many processes there were.
        """
        return self._machine.power_off()

    def start(self) -> None:
        """Give it power again; its kubelet starts its pods anew. Nothing happens if it runs."""
        self._cluster.start_node(self.number)

    def freeze(self) -> None:
        """Hang it: every process, daemons and pods, stands still, while the kernel still acknowledges what arrives."""
        self._machine.set_frozen(True)

    def thaw(self) -> None:
        """Let it go on where it stood."""
        self._machine.set_frozen(False)

    def isolate(self) -> None:
        """Pull its cable: nothing leaves and nothing arrives, and nobody is told."""
        network.set_link(self._cluster.control_pid(), self.number, up=False)

    def isolate_from(self, other: int) -> None:
        """Drop everything between it and another node, both ways; both still reach the control plane."""
        network.separate(self._cluster.control_pid(), self.number, other)

    def isolate_from_control_plane(self) -> None:
        """Drop everything between it and the control plane, both ways; the nodes still reach each other."""
        network.separate(self._cluster.control_pid(), self.number, network.CONTROL_PLANE)

    def heal(self) -> None:
        """Plug its cable in and lift every partition that it is part of."""
        control_pid = self._cluster.control_pid()
        network.join(control_pid, self.number)
        network.set_link(control_pid, self.number, up=True)

    def fault(self, control_pid: int | None) -> str:
        """Return what was done to it and not undone, in words; empty if nothing was."""
        if not self.is_running():
            return "stopped"
        faults = ["frozen"] if self.is_frozen() else []
        if control_pid is not None:
            if not network.link_is_up(control_pid, self.number):
                faults.append("cut off")
            others = network.separated_from(control_pid, self.number)
            names = (node_name(other) if other != network.CONTROL_PLANE else "the control plane" for other in others)
            faults += [f"cut off from {name}" for name in names]
        return ", ".join(faults)

    def is_running(self) -> bool:
        """Return whether it has power."""
        return self._machine.pid() is not None

    def is_frozen(self) -> bool:
        """Return whether it hangs."""
        return self._machine.is_frozen()
