"""Faults of Postgres that the Kubernetes API alone can do."""

from drills.faults.signals import kill_server
from drills.stage import Injection, Proof, Stage
from drills.wire import State

WITNESS_SECONDS = 20.0


class KillPrimary:
    """SIGKILL of the primary's postmaster: its sessions die at once, Patroni lives and gives up the lock."""

    name = "postgres-kill-primary"
    does = "SIGKILL to the postmaster of the Postgres primary"
    undone = "by Patroni, which starts the member again as a replica"
    proved_by = "the process is gone; the member's postmaster has another start time, or another member leads"
    stays_true = "every acknowledged write is on the new primary; the other engine and reads go on"
    seconds = 15.0

    def inject(self, stage: Stage) -> Injection:
        """Kill the postmaster of the member that leads."""
        before = stage.state()
        target = before.postgres.primary
        killed = kill_server(stage, target, "postgres", "postgres")
        gone = "gone" if killed.gone else "still there"
        return Injection(
            target, killed.at_ns, killed.uncertainty_ns, before, (f"process {killed.process_id} is {gone}",)
        )

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until Patroni itself says that the member's postmaster is not the one of before."""
        old = injection.before.postgres.started.get(injection.target, "")

        def changed(state: State) -> str | None:
            if state.at_ns <= injection.at_ns:
                return None
            if state.postgres.primary not in {"", injection.target}:
                return f"{state.postgres.primary} leads instead of {injection.target}"
            new = state.postgres.started.get(injection.target, old)
            return f"its postmaster was started {new or 'no more'}, before {old}" if new != old else None

        seen = stage.until(changed, WITNESS_SECONDS)
        notes = "; ".join(injection.notes)
        return Proof(seen is not None, f"{notes}; {seen or 'Patroni saw nothing of it'}")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: Patroni starts the member again."""
