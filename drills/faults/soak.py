"""No fault at all: everything is busy at once for a while, and nobody may be taken for dead."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drills.faults.engine import POSTGRES, REDIS
from drills.faults.fault import Fault
from drills.stage import Injection, Proof, Stage

SLOW_MS = 200
SESSIONS = 4
SPINNERS = 2

# Rounds of writing, removing, compacting and a checkpoint, by sessions of the superuser; beside them processes that
# only spin, inside the server's own CPU limit. All ends with its time. The kernel's counters before and after.
BUSY_POSTGRES = """
stat=/sys/fs/cgroup/cpu.stat; [ -e $stat ] || stat=/sys/fs/cgroup/cpu/cpu.stat
seconds=$1 sessions=$2 database=$3 spinners=$4
run() { psql --no-psqlrc -qAt -v ON_ERROR_STOP=1 -d "$database" "$@"; }
rounds() {
    table=drills.soak_$1 n=0 end=$(($(date +%s) + seconds))
    run -c "DROP TABLE IF EXISTS $table" -c "CREATE TABLE $table (filler text)" || return
    while [ "$(date +%s)" -lt $end ]; do
        run -c "INSERT INTO $table SELECT repeat(md5(i::text), 8) FROM generate_series(1, 10000) i" \\
            -c "DELETE FROM $table" -c "VACUUM $table" -c CHECKPOINT || break
        n=$((n + 1))
    done
    run -c "DROP TABLE $table"
    echo "rounds $n"
}
grep nr_throttled $stat
i=0; while [ $i -lt "$spinners" ]; do timeout "$seconds" sh -c 'while :; do :; done' & i=$((i + 1)); done
i=0; while [ $i -lt "$sessions" ]; do rounds $i & i=$((i + 1)); done
wait
grep nr_throttled $stat
"""
# A value of a mebibyte again and again makes the node rewrite its log by itself; between them scripts that block it.
BUSY_REDIS = """
. /opt/hms/lib.sh
as_drill() { { printf 'AUTH drill %s\\n' "$(secret drill-password)"; cat; } | timeout 10 redis-cli -p "$port" --raw; }
port=$1 seconds=$2 slow_ms=$3
rewrites() { echo "INFO persistence" | as_drill | tr -d '\\r' | sed -n 's/^aof_rewrites:/rewrites /p'; }
rewrites
slow=0 until=$((SECONDS + seconds))
while ((SECONDS < until)); do
    {
        for _ in {1..8}; do
            echo "EVAL \\"return redis.call('SET', KEYS[1], string.rep('x', 1048576))\\" 1 drill:soak"
        done
        echo "EVAL \\"local s = os.clock(); repeat until os.clock() - s >= $slow_ms / 1000\\" 0"
    } | as_drill >/dev/null && slow=$((slow + 1))
    sleep 0.3
done
echo "UNLINK drill:soak" | as_drill >/dev/null
echo "slow $slow"
rewrites
"""


@dataclass(frozen=True, kw_only=True)
class Soak(Fault):
    """Postgres writes, compacts, checkpoints and lacks CPU; Redis rewrites its log and runs slow commands."""

    def inject(self, stage: Stage) -> Injection:
        """Keep both primaries busy for as long as it is to last."""
        before = stage.state()
        postgres, redis = POSTGRES.primary(before), REDIS.primary(before)
        seconds = f"{self.lasts_seconds:.0f}"
        patience = self.lasts_seconds + 60
        at_ns, uncertainty_ns = stage.moment()
        arguments = [seconds, str(SESSIONS), stage.inventory.postgres.database, str(SPINNERS)]
        port = str(stage.inventory.redis.port)
        with ThreadPoolExecutor(2) as pool:
            rounds = pool.submit(
                stage.kubectl.exec, postgres, POSTGRES.container,
                ["sh", "-c", BUSY_POSTGRES, "sh", *arguments], timeout_seconds=patience,
            )  # fmt: skip
            slow = pool.submit(
                stage.kubectl.exec, redis, REDIS.container,
                ["bash", "-c", BUSY_REDIS, "bash", port, seconds, str(SLOW_MS)], timeout_seconds=patience,
            )  # fmt: skip
            said = (rounds.result(), slow.result())
        return Injection(f"{postgres}, {redis}", at_ns, uncertainty_ns, before, said)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Take the kernel's count of throttled periods, Redis' of its rewrites, and the rounds that were done."""
        return proof_of(*injection.notes, seconds=self.lasts_seconds)


def proof_of(postgres: str, redis: str, *, seconds: float) -> Proof:
    """Read what both scripts said; it is proved if each thing was done at least once."""
    throttled = _numbers(postgres, "nr_throttled")
    rewrites = _numbers(redis, "rewrites")
    rounds = sum(_numbers(postgres, "rounds"))
    slow = sum(_numbers(redis, "slow"))
    periods = throttled[-1] - throttled[0] if len(throttled) == 2 else 0
    rewritten = rewrites[-1] - rewrites[0] if len(rewrites) == 2 else 0
    how = (
        f"in {seconds:g} s {rounds} rounds of writing, compacting and a checkpoint, {periods} periods without CPU, "
        f"{slow} slow commands of {SLOW_MS} ms, {rewritten} rewrites of Redis' log"
    )
    return Proof(min(rounds, periods, slow, rewritten) > 0, how)


def _numbers(said: str, word: str) -> list[int]:
    lines = (line.split() for line in said.splitlines())
    return [int(line[1]) for line in lines if len(line) == 2 and line[0] == word and line[1].isdigit()]
