"""Faults of Redis and its Sentinels that are not those of any server."""

from dataclasses import dataclass

from drills.debts import InPod
from drills.faults.engine import REDIS, WITNESS_SECONDS
from drills.faults.fault import Fault
from drills.faults.pods import delete_by_force, is_another
from drills.faults.signals import send
from drills.stage import Injection, Proof, Stage
from hms.errors import HmsError

SENTINEL = "sentinel"
SENTINEL_PROCESS = "redis-sentinel"
GONE_SECONDS = 10.0
POLL_SECONDS = 0.3
REMEMBERED_SECONDS = 15.0

# In the containers' own shell, whose library reads the passwords from their files.
ASK_SENTINEL = '. /opt/hms/lib.sh && ask 127.0.0.1 "$1" "$2"'
AS_DRILL = """
. /opt/hms/lib.sh
{ printf 'AUTH drill %s\\n' "$(secret drill-password)"; cat; } | timeout "$2" redis-cli -h 127.0.0.1 -p "$1" --raw
"""
# Whoever is the primary by then does it; the others say that they are read-only.
CLEAR = """
. /opt/hms/lib.sh
commands=$(cat)
for address in $(awk '{ print $2 }' "$config/nodes"); do
    { printf 'AUTH drill %s\\n' "$(secret drill-password)"; printf '%s\\n' "$commands"; } |
        timeout 3 redis-cli -h "$address" -p "$1" --raw || true
done
"""
EMPTY = """
echo "$(ls /data/appendonlydir | wc -l) files of its log are removed"
rm -rf /data/appendonlydir /data/*.rdb
"""
# One key a call: a single long script would be another fault, a node that does not answer.
FILLER = "drill:filler"
FILL_BYTES = 1 << 20
FILL = f"""EVAL "return redis.call('SET', KEYS[1], string.rep('x', {FILL_BYTES}))" 1 {FILLER}:%d\n"""
FILL_SECONDS = 30
# By the processor's clock, the only one that goes on within a script (TIME is that of the script's beginning); by the
# wall's it takes longer where others want the processor. A second between them: two in a row would block for both.
SLOW = (
    'EVAL "local s = os.clock(); repeat until os.clock() - s >= %d / 1000; '
    'return math.floor((os.clock() - s) * 1000000)" 0\n'
)
SLOWLY = """
. /opt/hms/lib.sh
command=$(cat)
for _ in $(seq "$2"); do
    begun=${EPOCHREALTIME/./}
    { printf 'AUTH drill %s\\n' "$(secret drill-password)"; printf '%s\\n' "$command"; } |
        timeout 10 redis-cli -h 127.0.0.1 -p "$1" --raw | sed 1d
    echo $((${EPOCHREALTIME/./} - begun))
    sleep 1
done
"""
SLOW_MS = 400
SLOW_TIMES = 5


def ask_as_drill(stage: Stage, node: str, commands: str, *, timeout_seconds: int = 10) -> list[str]:
    """Send commands to a node as the drill's user, from inside its container, and return the lines of the answers."""
    argv = ["bash", "-c", AS_DRILL, "bash", str(stage.inventory.redis.port), str(timeout_seconds)]
    said = stage.kubectl.exec(node, REDIS.container, argv, stdin=commands, timeout_seconds=timeout_seconds + 10)
    first, *rest = said.splitlines() or [""]
    if first != "OK":
        raise HmsError(f"{node}: the drill's user is refused: {first or 'no answer'}")
    return rest


@dataclass(frozen=True, kw_only=True)
class Failover(Fault):
    """A planned failover, as before maintenance: a Sentinel is asked to promote a replica."""

    def inject(self, stage: Stage) -> Injection:
        """Ask the first Sentinel, in its own container."""
        before = stage.state()
        redis = stage.inventory.redis
        sentinel = stage.inventory.workload("sentinel").pods[0]
        at_ns, uncertainty_ns = stage.moment()
        answer = ask_sentinel(stage, sentinel, f"SENTINEL FAILOVER {redis.master_name}")
        if answer != "OK":
            raise HmsError(f"{sentinel}: SENTINEL FAILOVER {redis.master_name}: {answer or 'no answer'}")
        return Injection(REDIS.primary(before), at_ns, uncertainty_ns, before, (f"{sentinel} said OK",))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until another node is master."""
        seen = REDIS.wait_for_another(stage, injection, WITNESS_SECONDS)
        return Proof(bool(seen), f"{injection.notes[0]}; {seen or 'the master is the same'}")


def ask_sentinel(stage: Stage, sentinel: str, command: str) -> str:
    """Return what a Sentinel answers to a command."""
    argv = ["bash", "-c", ASK_SENTINEL, "bash", str(stage.inventory.redis.sentinel_port), command]
    return stage.kubectl.exec(sentinel, SENTINEL, argv).strip()


@dataclass(frozen=True, kw_only=True)
class RebornEmpty(Fault):
    """The primary loses its files and its process at once: were it to start as an empty primary, all would be wiped."""

    def inject(self, stage: Stage) -> Injection:
        """Remove the primary's files, then kill its server before it can write them anew."""
        before = stage.state()
        target = REDIS.primary(before)
        said = stage.kubectl.exec(target, REDIS.container, ["sh", "-c", EMPTY]).strip()
        killed = send(stage, target, REDIS.container, REDIS.process)
        return Injection(target, killed.at_ns, killed.uncertainty_ns, before, (f"{said}; {killed.note}",))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the node itself answers with another run id, or another node is master."""
        return REDIS.prove_gone(stage, injection, injection.notes[0])


@dataclass(frozen=True, kw_only=True)
class DeleteSentinel(Fault):
    """One Sentinel is gone: two still make a majority."""

    def inject(self, stage: Stage) -> Injection:
        """Delete the first Sentinel's pod, the one that suspects soonest."""
        return delete_by_force(stage, [stage.inventory.workload("sentinel").pods[0]])

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the API server for the pod."""
        gone = stage.ask_until(lambda: is_another(stage, injection), GONE_SECONDS, every_seconds=POLL_SECONDS)
        return Proof(bool(gone), gone or "the pod is the same")


@dataclass(frozen=True, kw_only=True)
class NoMajority(Fault):
    """All Sentinels but one stand still, and the primary's server dies: nobody may promote another.

    What is judged is what was acknowledged, the gap, which lasts until the Sentinels go on, and that nobody is promoted
    until then. That the Sentinel left says it has no quorum is the proof.
    """

    def inject(self, stage: Stage) -> Injection:
        """Stop the Sentinels, ask the one that is left, and kill the primary's server."""
        before = stage.state()
        target = REDIS.primary(before)
        left, *others = stage.inventory.workload("sentinel").pods
        stopped = [send(stage, sentinel, SENTINEL, SENTINEL_PROCESS, signal="STOP") for sentinel in others]
        killed = send(stage, target, REDIS.container, REDIS.process)
        done = killed.done and all(one.done for one in stopped)
        note = "; ".join(one.note for one in (*stopped, killed))
        first = stopped[0]
        return Injection(target, first.at_ns, first.uncertainty_ns, before, (note, left, "done" if done else ""))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the Sentinel that is left whether it has a quorum."""
        note, left, done = injection.notes
        question = f"SENTINEL CKQUORUM {stage.inventory.redis.master_name}"

        def without() -> str | None:
            said = ask_sentinel(stage, left, question)
            return said if said.startswith("NOQUORUM") else None

        said = stage.ask_until(without, REMEMBERED_SECONDS, every_seconds=POLL_SECONDS)
        return Proof(bool(done and said), f"{note}; {left} says {said or 'that it has a quorum'}")


@dataclass(frozen=True, kw_only=True)
class FillMemory(Fault):
    """The primary's memory is full of what may not be evicted: it must refuse, in words, and live."""

    def inject(self, stage: Stage) -> Injection:
        """Store keys without a time to live until the node says that it is out of memory."""
        before = stage.state()
        target = REDIS.primary(before)
        count = int(stage.inventory.redis.settings["maxmemory"]) // FILL_BYTES + 1
        names = " ".join(f"{FILLER}:{number}" for number in range(count))
        stage.owe(
            InPod(
                pod=target, container=REDIS.container, does="remove what fills the memory",
                argv=("bash", "-c", CLEAR, "bash", str(stage.inventory.redis.port)), stdin=f"UNLINK {names}\n",
            )
        )  # fmt: skip
        at_ns, uncertainty_ns = stage.moment()
        commands = "".join(FILL % number for number in range(count))
        said = ask_as_drill(stage, target, commands, timeout_seconds=FILL_SECONDS)
        stored = sum(line == "OK" for line in said)
        refused = next((line for line in said if line.startswith("OOM")), "")
        return Injection(target, at_ns, uncertainty_ns, before, (f"{stored} MiB stored", refused))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Take the server's own words."""
        stored, refused = injection.notes
        return Proof(bool(refused), f"{stored}, then: {refused or 'nothing was refused'}")


@dataclass(frozen=True, kw_only=True)
class SlowCommand(Fault):
    """A command blocks the primary for 400 ms, again and again: it is slow, not dead, and must stay."""

    def inject(self, stage: Stage) -> Injection:
        """Run a script that does nothing until the processor has worked on it for so long."""
        before = stage.state()
        target = REDIS.primary(before)
        at_ns, uncertainty_ns = stage.moment()
        argv = ["bash", "-c", SLOWLY, "bash", str(stage.inventory.redis.port), str(SLOW_TIMES)]
        said = stage.kubectl.exec(target, REDIS.container, argv, stdin=SLOW % SLOW_MS)
        return Injection(target, at_ns, uncertainty_ns, before, tuple(said.split()))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Take the server's word of how long each script kept its thread, and the client's of how long it waited."""
        numbers = [int(note) for note in injection.notes if note.isdigit()]
        worked, waited = numbers[::2], numbers[1::2]
        proved = len(waited) == SLOW_TIMES and min(worked) >= SLOW_MS * 1000
        longest_ms = max(waited, default=0) / 1000
        how = ", ".join(f"{us / 1000:.0f} ms" for us in worked) or "no time"
        return Proof(proved, f"worked for {how}; the client waited for {longest_ms:.0f} ms at most")
