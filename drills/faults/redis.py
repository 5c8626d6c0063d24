"""Faults of Redis that the Kubernetes API alone can do."""

from drills.faults.signals import kill_server
from drills.stage import Injection, Proof, Stage
from drills.wire import State

WITNESS_SECONDS = 20.0


class KillPrimary:
    """SIGKILL of the primary's server: its connections die at once, its data is what it had written."""

    name = "redis-kill-primary"
    does = "SIGKILL to redis-server of the Redis primary"
    undone = "by the node's own start script, which joins it as a replica of whoever was promoted"
    proved_by = "the process is gone; the node answers with another run id or not at all, or another one is master"
    stays_true = "writes go on within the Sentinels' time; Postgres loses nothing; the app answers"
    seconds = 12.0

    def inject(self, stage: Stage) -> Injection:
        """Kill the server of the node that is master."""
        before = stage.state()
        target = before.redis.primary
        killed = kill_server(stage, target, "redis", "redis-server")
        gone = "gone" if killed.gone else "still there"
        return Injection(
            target, killed.at_ns, killed.uncertainty_ns, before, (f"process {killed.process_id} is {gone}",)
        )

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the node itself answers with another run id, or another node is master."""
        old = injection.before.redis.run_ids.get(injection.target, "")

        def changed(state: State) -> str | None:
            if state.at_ns <= injection.at_ns:
                return None
            new = state.redis.run_ids.get(injection.target)
            if new is not None and new != old:
                return f"it answers as run {new[:8]}, before {old[:8]}"
            if state.redis.primary not in {"", injection.target}:
                return f"{state.redis.primary} is master instead of {injection.target}"
            return None

        seen = stage.until(changed, WITNESS_SECONDS)
        notes = "; ".join(injection.notes)
        return Proof(seen is not None, f"{notes}; {seen or 'no node saw anything of it'}")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: the node starts again by itself."""
