"""What a failover detector does that asks nobody: the opposite of the witnesses, to show that the sweep notices."""

import time
from dataclasses import dataclass

from drills.debts import Thaw
from drills.faults.engine import POSTGRES
from drills.faults.fault import Fault
from drills.faults.node import owe_node
from drills.stage import Injection, Proof, Stage
from hms.errors import HmsError

DETECTED_SECONDS = 0.3
"""Three probes in a row, 0.1 s apart, as the witnesses' own."""
LEADS_SECONDS = 10.0
WOKEN_SECONDS = 1.0
POLL_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True)
class Careless(Fault):
    """The primary's pod is frozen, and its key removed on one observer's word; it is thawed once another has the key.

    One replica does not reach the control plane meanwhile, and so does not hear of the new leader: it still answers the
    other members, streams from the old primary, and confirms what that acknowledges when it wakes. The witnesses do not
    take the key here: the replica's does not reach the API server, and one vote is too few.
    """

    def inject(self, stage: Stage) -> Injection:
        """Cut one replica's node off from the control plane, freeze the primary's pod, then free the key."""
        before = stage.state()
        target, deaf = POSTGRES.primary(before), POSTGRES.replicas(before)[0]
        machines = stage.machines
        document = stage.kubectl.get("pod", target)
        group = machines.pod_group(str(document["spec"]["nodeName"]), str(document["metadata"]["uid"]))
        number = machines.number_of(stage.node_of(deaf))
        owe_node(stage, number)
        stage.owe(Thaw(cluster=machines.name, group=group))
        machines.node(number).isolate_from_control_plane()
        at_ns, uncertainty_ns = stage.moment()
        machines.freeze(group)
        time.sleep(DETECTED_SECONDS)
        self._free_the_key(stage, target)
        return Injection(target, at_ns, uncertainty_ns, before, (group, deaf))

    def _free_the_key(self, stage: Stage, target: str) -> None:
        """Remove the leader, and what would have the race wait for it."""
        gone = f"witness: {target} is silent"
        for kind, name, keys in (
            ("pod", target, ("status",)),
            ("endpoints", stage.inventory.postgres.scope, ("leader", "failsafe")),
        ):
            try:
                stage.kubectl.run("annotate", kind, name, *(f"{key}-" for key in keys))
            except HmsError as error:
                raise HmsError(f"{gone}: its key could not be freed: {error.message}") from error

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until another member holds the key while the kernel says that the old one stands still."""

        def another() -> str | None:
            leader = stage.leader_by_api()
            return leader if leader not in {"", injection.target} else None

        leader = stage.ask_until(another, LEADS_SECONDS, every_seconds=POLL_SECONDS)
        frozen = stage.machines.is_frozen(injection.notes[0])
        how = f"{leader or 'nobody else'} holds the key, {injection.target} is {'frozen' if frozen else 'not frozen'}"
        return Proof(bool(leader) and frozen, f"{how}, {injection.notes[1]} does not hear of it")

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        """Wake the old primary, and let it acknowledge what it can before its Patroni gives up."""
        stage.machines.thaw(injection.notes[0])
        time.sleep(WOKEN_SECONDS)
        return proof
