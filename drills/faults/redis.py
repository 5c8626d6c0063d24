"""Faults of Redis that the Kubernetes API alone can do."""

from drills.faults.pods import delete_by_force, is_another
from drills.faults.signals import kill_server
from drills.stage import Injection, Proof, Stage
from drills.wire import State
from hms.errors import HmsError

WITNESS_SECONDS = 20.0
CONTAINER = "redis"
# In the container's own shell, whose library reads the password from its file.
FAILOVER = '. /opt/hms/lib.sh && ask 127.0.0.1 "$1" "SENTINEL FAILOVER $2"'


def another_is_master(state: State, injection: Injection) -> str | None:
    """Return who is master instead of the target, as the nodes said after the fault."""
    primary = state.redis.primary
    if state.at_ns > injection.at_ns and primary not in {"", injection.target}:
        return f"{primary} is master instead of {injection.target}"
    return None


def started_anew(state: State, injection: Injection) -> str | None:
    """Return how the target said after the fault that it was started anew."""
    old = injection.before.redis.run_ids.get(injection.target, "")
    new = state.redis.run_ids.get(injection.target)
    if state.at_ns <= injection.at_ns or new in {None, old}:
        return None
    return f"it answers as run {str(new)[:8]}, before {old[:8]}"


def kill_redis(stage: Stage, target: str) -> Injection:
    """Send SIGKILL to a node's server."""
    before = stage.state()
    killed = kill_server(stage, target, CONTAINER, "redis-server")
    note = f"process {killed.process_id} is {'gone' if killed.gone else 'still there'}"
    return Injection(target, killed.at_ns, killed.uncertainty_ns, before, (note,))


class KillPrimary:
    """SIGKILL of the primary's server: its connections die at once, its data is what it had written."""

    name = "redis-kill-primary"
    does = "SIGKILL to redis-server of the Redis primary"
    undone = "by the node's own start script, which joins it as a replica of whoever was promoted"
    proved_by = "the process is gone; the node answers with another run id, or another one is master"
    stays_true = "writes go on within the Sentinels' time; Postgres loses nothing; the app answers"
    seconds = 12.0

    def inject(self, stage: Stage) -> Injection:
        """Kill the server of the node that is master."""
        return kill_redis(stage, stage.state().redis.primary)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the node itself answers with another run id, or another node is master."""
        seen = stage.until(
            lambda state: started_anew(state, injection) or another_is_master(state, injection), WITNESS_SECONDS
        )
        return Proof(seen is not None, f"{injection.notes[0]}; {seen or 'no node saw anything of it'}")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: the node starts again by itself."""


class KillReplica:
    """SIGKILL of a replica's server: the primary must go on with the other one."""

    name = "redis-kill-replica"
    does = "SIGKILL to redis-server of a Redis replica"
    undone = "by the node's own start script"
    proved_by = "the process is gone; the node answers with another run id"
    stays_true = "the primary stays; writes go on; nothing is lost"
    seconds = 10.0

    def inject(self, stage: Stage) -> Injection:
        """Kill the server of the first replica."""
        replicas = stage.state().redis.replicas
        if not replicas:
            raise HmsError("Redis has no replica now", remedy="Is the stack in its steady state?")
        return kill_redis(stage, replicas[0])

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the node itself answers with another run id."""
        seen = stage.until(lambda state: started_anew(state, injection), WITNESS_SECONDS)
        return Proof(seen is not None, f"{injection.notes[0]}; {seen or 'it answers as before'}")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: the node starts again by itself."""


class DeletePrimary:
    """The primary's pod is deleted by force: server and address go at once, the volume stays."""

    name = "redis-delete-primary"
    does = "deletes the pod of the Redis primary by force"
    undone = "by the StatefulSet, which makes the pod again on the same volume"
    proved_by = "the API server has another pod or none by that name; the node has another run id, or another is master"
    stays_true = "writes go on within the Sentinels' time; Postgres loses nothing; the app answers"
    seconds = 20.0

    def inject(self, stage: Stage) -> Injection:
        """Delete the pod of the node that is master."""
        return delete_by_force(stage, stage.state().redis.primary)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until another node is master or this one answers anew, and ask the API server for the pod."""
        seen = stage.until(
            lambda state: another_is_master(state, injection) or started_anew(state, injection), WITNESS_SECONDS
        )
        gone = is_another(stage, injection)
        return Proof(bool(gone), "; ".join(filter(None, (gone or "the pod is the same", seen))))

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: the StatefulSet makes the pod again."""


class Failover:
    """A planned failover, as before maintenance: a Sentinel is asked to promote a replica."""

    name = "redis-failover"
    does = "asks a Sentinel for a failover of a healthy Redis primary"
    undone = "by the Sentinels, which make the old primary a replica"
    proved_by = "another node is master"
    stays_true = "writes stop for the hand-over alone; Postgres loses nothing; the app answers"
    seconds = 12.0

    def inject(self, stage: Stage) -> Injection:
        """Ask the first Sentinel, in its own container."""
        before = stage.state()
        redis = stage.inventory.redis
        sentinel = stage.inventory.workload("sentinel").pods[0]
        at_ns, uncertainty_ns = stage.moment()
        command = ["bash", "-c", FAILOVER, "bash", str(redis.sentinel_port), redis.master_name]
        answer = stage.kubectl.exec(sentinel, "sentinel", command).strip()
        if answer != "OK":
            raise HmsError(f"{sentinel}: SENTINEL FAILOVER {redis.master_name}: {answer or 'no answer'}")
        return Injection(before.redis.primary, at_ns, uncertainty_ns, before, (f"{sentinel} said OK",))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until another node is master."""
        seen = stage.until(lambda state: another_is_master(state, injection), WITNESS_SECONDS)
        return Proof(seen is not None, f"{injection.notes[0]}; {seen or 'the master is the same'}")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: it was meant."""
