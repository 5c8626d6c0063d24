"""Faults of whole nodes, on a test cluster: power, time, cable."""

from dataclasses import dataclass
from typing import Literal

from drills.debts import Mend
from drills.faults.engine import LEASE_SECONDS, POSTGRES, WITNESS_SECONDS
from drills.faults.fault import Fault
from drills.stage import Injection, Proof, Stage
from hms.errors import HmsError

POLL_SECONDS = 0.5

Victim = Literal["primary", "other"]


def owe_node(stage: Stage, number: int) -> None:
    """Note that a node is to be mended."""
    stage.owe(Mend(cluster=stage.machines.name, node=number))


def node_of_primary(stage: Stage) -> int:
    """Return the number of the node that the Postgres primary runs on."""
    return stage.machines.number_of(stage.node_of(POSTGRES.primary(stage.state())))


def another_node(stage: Stage) -> int:
    """Return the number of a node with neither the Postgres primary nor the drill's own pod on it."""
    taken = {node_of_primary(stage), stage.machines.number_of(stage.pod.node)}
    free = [number for number in range(1, stage.machines.count + 1) if number not in taken]
    if not free:
        raise HmsError(f"no node of {stage.machines.count} is without the primary and the drill's pod")
    return free[0]


@dataclass(frozen=True, kw_only=True)
class NodeFault(Fault):
    """A fault of the Postgres primary's node, or of another."""

    victim: Victim

    def choose(self, stage: Stage) -> int:
        """Return the number of the node to break."""
        if self.victim == "other":
            return another_node(stage)
        number = node_of_primary(stage)
        together = stage.machines.number_of(stage.pod.node) == number
        if self.place != "anywhere" and together != (self.place == "beside"):
            raise HmsError(f"the primary has moved to node {number} meanwhile: the drill's pod is not {self.place}")
        return number

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        """Where it was the primary's node and has no time of its own, wait until another member of Postgres leads."""
        if self.lasts_seconds:
            return super().hold(stage, injection, proof)
        led = POSTGRES.wait_for_another(stage, injection)
        return Proof(proof.proved, f"{proof.how}; {led or 'nobody else led'}")


@dataclass(frozen=True, kw_only=True)
class LosePower(NodeFault):
    """A node loses its power: all that ran on it is gone at once, nothing says so to anybody."""

    def inject(self, stage: Stage) -> Injection:
        """Switch the node off."""
        before, number = stage.state(), self.choose(stage)
        node = stage.machines.node(number)
        owe_node(stage, number)
        at_ns, uncertainty_ns = stage.moment()
        ended = node.stop()
        return Injection(node.name, at_ns, uncertainty_ns, before, (f"{ended} processes of it ended",))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the kernel for processes of it."""
        off = not stage.machines.node(stage.machines.number_of(injection.target)).is_running()
        return Proof(off, f"{injection.notes[0]}, {'none is left' if off else 'and it runs'}")


@dataclass(frozen=True, kw_only=True)
class FreezeNode(NodeFault):
    """A node hangs: nothing on it makes a step, while its kernel acknowledges what arrives."""

    def inject(self, stage: Stage) -> Injection:
        """Freeze the control group of the whole machine."""
        before, number = stage.state(), self.choose(stage)
        node = stage.machines.node(number)
        owe_node(stage, number)
        at_ns, uncertainty_ns = stage.moment()
        node.freeze()
        return Injection(node.name, at_ns, uncertainty_ns, before, ())

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the kernel for the state of the freezer."""
        frozen = stage.machines.node(stage.machines.number_of(injection.target)).is_frozen()
        return Proof(frozen, f"the kernel says of it: {'frozen' if frozen else 'not frozen'}")


@dataclass(frozen=True, kw_only=True)
class Isolate(NodeFault):
    """A node's cable is pulled: the primary and the clients on it go on with each other, and with nobody else."""

    def inject(self, stage: Stage) -> Injection:
        """Pull the cable and note how many packets have passed it."""
        before, number = stage.state(), self.choose(stage)
        node = stage.machines.node(number)
        owe_node(stage, number)
        at_ns, uncertainty_ns = stage.moment()
        node.isolate()
        packets = stage.machines.packets(number)
        return Injection(node.name, at_ns, uncertainty_ns, before, (str(packets),))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Count the packets that have passed since: there must be none."""
        passed = self._passed(stage, injection)
        return Proof(passed == 0, f"{passed} packets passed its cable")

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        """Wait until the API server has another leader, for the drill's own pod is cut off; then count again."""
        old = POSTGRES.primary(injection.before)

        def another() -> str | None:
            leader = stage.leader_by_api()
            return leader if leader not in {"", old} else None

        leader = stage.ask_until(another, LEASE_SECONDS, every_seconds=POLL_SECONDS)
        passed = self._passed(stage, injection)
        led = f"{leader} holds the key instead of {old}" if leader else "nobody else held the key"
        return Proof(passed == 0, f"{passed} packets passed its cable until {led}")

    def _passed(self, stage: Stage, injection: Injection) -> int:
        return stage.machines.packets(stage.machines.number_of(injection.target)) - int(injection.notes[0])


@dataclass(frozen=True, kw_only=True)
class HalfIsolate(NodeFault):
    """The primary's node loses one of the other nodes from sight, and nobody else does: opinions differ."""

    def inject(self, stage: Stage) -> Injection:
        """Drop everything between the primary's node and one other."""
        before, number = stage.state(), self.choose(stage)
        other = next(one for one in range(1, stage.machines.count + 1) if one != number)
        node = stage.machines.node(number)
        owe_node(stage, number)
        at_ns, uncertainty_ns = stage.moment()
        node.isolate_from(other)
        return Injection(node.name, at_ns, uncertainty_ns, before, (str(number), str(other)))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Dial from each of the two nodes to the other, and to the third."""
        number, other = (int(note) for note in injection.notes)
        machines = stage.machines
        cut = not machines.can_reach(number, other) and not machines.can_reach(other, number)
        thirds = [one for one in range(1, machines.count + 1) if one not in {number, other}]
        whole = all(machines.can_reach(number, third) and machines.can_reach(other, third) for third in thirds)
        seen = stage.until(lambda state: None if state.postgres.steady else state.postgres.detail, WITNESS_SECONDS)
        how = f"nodes {number} and {other} {'do not reach' if cut else 'reach'} each other"
        return Proof(cut and whole, f"{how}, the rest {'does' if whole else 'does not'}; {seen or 'nobody noticed'}")


@dataclass(frozen=True, kw_only=True)
class RestartAllNodes(Fault):
    """All nodes lose their power at once and get it back: nothing is left but what is on disk."""

    def inject(self, stage: Stage) -> Injection:
        """Switch all nodes off."""
        before = stage.state()
        numbers = range(1, stage.machines.count + 1)
        for number in numbers:
            owe_node(stage, number)
        at_ns, uncertainty_ns = stage.moment()
        ended = sum(stage.machines.node(number).stop() for number in numbers)
        return Injection("all nodes", at_ns, uncertainty_ns, before, (f"{ended} processes ended",))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the kernel for processes of any of them."""
        numbers = range(1, stage.machines.count + 1)
        running = [number for number in numbers if stage.machines.node(number).is_running()]
        return Proof(not running, f"{injection.notes[0]}, {len(running)} nodes run")
