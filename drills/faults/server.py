"""What can happen to a member of either engine: its server killed, its pod deleted, its pod frozen."""

from dataclasses import dataclass, replace

from drills.debts import Thaw
from drills.faults.engine import Engine, Member
from drills.faults.fault import Fault
from drills.faults.pods import delete_by_force, is_another
from drills.faults.signals import send
from drills.stage import Injection, Proof, Stage

GONE_SECONDS = 10.0
POLL_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True)
class Kill(Fault):
    """SIGKILL of a member's server: its connections die at once, its data is what it had written."""

    engine: Engine
    member: Member

    def inject(self, stage: Stage) -> Injection:
        """Kill the server of the primary, or of the first replica."""
        before = stage.state()
        target = self.engine.member(before, self.member)
        killed = send(stage, target, self.engine.container, self.engine.process)
        return Injection(target, killed.at_ns, killed.uncertainty_ns, before, (killed.note,))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the engine itself says that this server is not the one of before."""
        return self.engine.prove_gone(stage, injection, injection.notes[0])


@dataclass(frozen=True, kw_only=True)
class Delete(Fault):
    """A member's pod is deleted by force: server, supervisor and address go at once, the volumes stay."""

    engine: Engine
    member: Member

    def inject(self, stage: Stage) -> Injection:
        """Delete the pod of the primary, or of the first replica."""
        return delete_by_force(stage, [self.engine.member(stage.state(), self.member)])

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the engine says that the server is another, and ask the API server for the pod."""
        seen = self.engine.prove_gone(stage, injection)
        gone = stage.ask_until(lambda: is_another(stage, injection), GONE_SECONDS, every_seconds=POLL_SECONDS)
        return Proof(bool(gone), f"{gone or 'the pod is the same'}; {seen.how}")


@dataclass(frozen=True, kw_only=True)
class Freeze(Fault):
    """The primary's pod stands still and says nothing, while its kernel still acknowledges what arrives.

    It is thawed when another member leads, or after `lasts_seconds` where those are given. A sweep has `moments`, one a
    trial: for how long a pod stands still decides who thinks what when it wakes.
    """

    engine: Engine
    moments_seconds: tuple[float, ...] = ()

    def of_trial(self, number: int) -> Fault:
        """Return the freeze of the trial's own length."""
        if not self.moments_seconds:
            return self
        moment = self.moments_seconds[(number - 1) % len(self.moments_seconds)]
        return replace(self, moments_seconds=(), lasts_seconds=moment, does=f"{self.does}, {moment:g} s")

    def inject(self, stage: Stage) -> Injection:
        """Freeze the control group of the pod of the member that leads."""
        before = stage.state()
        target = self.engine.primary(before)
        document = stage.kubectl.get("pod", target)
        group = stage.machines.pod_group(str(document["spec"]["nodeName"]), str(document["metadata"]["uid"]))
        stage.owe(Thaw(cluster=stage.machines.name, group=group))
        at_ns, uncertainty_ns = stage.moment()
        stage.machines.freeze(group)
        return Injection(target, at_ns, uncertainty_ns, before, (group,))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the kernel for the state of the freezer."""
        frozen = stage.machines.is_frozen(injection.notes[0])
        return Proof(frozen, f"the kernel says of its control group: {'frozen' if frozen else 'not frozen'}")

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        """Where it lasts as long as needed, wait for another to lead."""
        if self.lasts_seconds:
            return super().hold(stage, injection, proof)
        other = self.engine.wait_for_another(stage, injection)
        still = stage.machines.is_frozen(injection.notes[0])
        how = f"{proof.how}, {'still so' if still else 'no longer'} when {other or 'nobody else led'}"
        return Proof(proof.proved and still, how)
