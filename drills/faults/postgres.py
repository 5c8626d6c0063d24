"""Faults of Postgres that the Kubernetes API alone can do."""

from drills.faults.pods import delete_by_force, is_another
from drills.faults.signals import kill_server
from drills.stage import Injection, Proof, Stage
from drills.wire import State
from hms.errors import HmsError, KubectlError

WITNESS_SECONDS = 20.0
CONTAINER = "postgres"
RENDERED_CONFIG = "/run/hms/patroni.yml"


def another_leads(state: State, injection: Injection) -> str | None:
    """Return who leads instead of the target, as Patroni said after the fault."""
    primary = state.postgres.primary
    if state.at_ns > injection.at_ns and primary not in {"", injection.target}:
        return f"{primary} leads instead of {injection.target}"
    return None


def postmaster_is_another(state: State, injection: Injection) -> str | None:
    """Return how the target's own Patroni said after the fault that its postmaster is gone or started anew."""
    old = injection.before.postgres.started.get(injection.target, "")
    new = state.postgres.started.get(injection.target)
    if state.at_ns <= injection.at_ns or new in {None, old}:
        return None
    return f"its postmaster was started {new}, before {old}" if new else "its postmaster is gone"


def kill_postmaster(stage: Stage, target: str) -> Injection:
    """Send SIGKILL to a member's postmaster."""
    before = stage.state()
    killed = kill_server(stage, target, CONTAINER, "postgres")
    note = f"process {killed.process_id} is {'gone' if killed.gone else 'still there'}"
    return Injection(target, killed.at_ns, killed.uncertainty_ns, before, (note,))


class KillPrimary:
    """SIGKILL of the primary's postmaster: its sessions die at once, Patroni lives and gives up the lock."""

    name = "postgres-kill-primary"
    does = "SIGKILL to the postmaster of the Postgres primary"
    undone = "by Patroni, which starts the member again as a replica"
    proved_by = "the process is gone; the member's postmaster has another start time, or another member leads"
    stays_true = "every acknowledged write is on the new primary; Redis and reads go on"
    seconds = 15.0

    def inject(self, stage: Stage) -> Injection:
        """Kill the postmaster of the member that leads."""
        return kill_postmaster(stage, stage.state().postgres.primary)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until Patroni itself says that the member's postmaster is not the one of before."""
        seen = stage.until(
            lambda state: another_leads(state, injection) or postmaster_is_another(state, injection), WITNESS_SECONDS
        )
        return Proof(seen is not None, f"{injection.notes[0]}; {seen or 'Patroni saw nothing of it'}")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: Patroni starts the member again."""


class KillReplica:
    """SIGKILL of a synchronous replica's postmaster: commits must find their confirmation elsewhere."""

    name = "postgres-kill-replica"
    does = "SIGKILL to the postmaster of a synchronous Postgres replica"
    undone = "by Patroni, which starts the member again"
    proved_by = "the process is gone; the member's postmaster has another start time or none"
    stays_true = "the primary stays; writes go on with the other replica's confirmation; nothing is lost"
    seconds = 12.0

    def inject(self, stage: Stage) -> Injection:
        """Kill the postmaster of the first synchronous replica."""
        return kill_postmaster(stage, first_replica(stage))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until its own Patroni says that its postmaster is not the one of before."""
        seen = stage.until(lambda state: postmaster_is_another(state, injection), WITNESS_SECONDS)
        return Proof(seen is not None, f"{injection.notes[0]}; {seen or 'Patroni saw nothing of it'}")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: Patroni starts the member again."""


class DeletePrimary:
    """The primary's pod is deleted by force: server, Patroni and address go at once, the volumes stay."""

    name = "postgres-delete-primary"
    does = "deletes the pod of the Postgres primary by force"
    undone = "by the StatefulSet, which makes the pod again on the same volumes"
    proved_by = "the API server has another pod or none by that name; its postmaster is gone, or another member leads"
    stays_true = "every acknowledged write is on the new primary; Redis and reads go on"
    seconds = 20.0

    def inject(self, stage: Stage) -> Injection:
        """Delete the pod of the member that leads."""
        return delete_by_force(stage, stage.state().postgres.primary)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until Patroni says that the postmaster is gone, and ask the API server for the pod."""
        seen = stage.until(
            lambda state: another_leads(state, injection) or postmaster_is_another(state, injection), WITNESS_SECONDS
        )
        gone = is_another(stage, injection)
        return Proof(bool(gone), "; ".join(filter(None, (gone or "the pod is the same", seen))))

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: the StatefulSet makes the pod again."""


class Switchover:
    """A planned switchover, as before maintenance: the primary hands over to a synchronous replica."""

    name = "postgres-switchover"
    does = "asks Patroni for a switchover to a synchronous replica"
    undone = "by Patroni, which makes the old primary a replica"
    proved_by = "the replica that was chosen leads"
    stays_true = "nothing is lost; writes stop for the hand-over alone"
    seconds = 15.0

    def inject(self, stage: Stage) -> Injection:
        """Ask for the switchover in the primary's own container."""
        before = stage.state()
        target, candidate = before.postgres.primary, first_replica(stage)
        at_ns, uncertainty_ns = stage.moment()
        command = [
            "patronictl", "-c", RENDERED_CONFIG, "switchover", stage.inventory.postgres.scope,
            "--primary", target, "--candidate", candidate, "--force",
        ]  # fmt: skip
        try:
            stage.kubectl.exec(target, CONTAINER, command, timeout_seconds=60)
        except KubectlError as error:
            raise HmsError(f"switchover from {target} to {candidate}: {error.message}") from error
        return Injection(target, at_ns, uncertainty_ns, before, (candidate,))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the chosen member leads."""
        candidate = injection.notes[0]
        seen = stage.until(
            lambda state: another_leads(state, injection) if state.postgres.primary == candidate else None,
            WITNESS_SECONDS,
        )
        return Proof(seen is not None, seen or f"{candidate} does not lead")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: it was meant."""


def first_replica(stage: Stage) -> str:
    """Return a synchronous replica; `HmsError` if there is none."""
    state = stage.state()
    if not state.postgres.synchronous:
        raise HmsError("Postgres has no synchronous replica now", remedy="Is the stack in its steady state?")
    return state.postgres.synchronous[0]
