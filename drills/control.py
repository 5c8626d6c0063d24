"""The negative control: a Redis that is made to lose acknowledged writes, so that a proof shows that loss is noticed.

The stack is not touched. A pod of the control's own holds a primary, its replica and the drills' writer. The pair
replicates asynchronously, without `min-replicas-to-write`, as a stack configured to lose writes would. What Sentinel
does to a primary that is cut off together with its clients is done to it: the replica is promoted, the old primary goes
on acknowledging, and then it is made a replica of the new one, which throws away what it acknowledged alone.

Writer, ledger, reading back, reckoning, derivation and judge are those of every other drill. Only the claim is turned
round: `control.lost` must be above zero.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from drills.feed import Feed, T
from drills.pod import NAME, DrillPod, make_settings, manifest
from drills.run import alone
from drills.wire import RedisSettings, Settings
from hms.errors import HmsError, KubectlError
from hms.evidence import Event, Fault, Steady, Trial, Writer
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl

DRILL = "control-redis-asynchronous"
HOW = "no min-replicas-to-write, no WAIT; a replica is promoted beside a primary whose clients stay with it"
PRIMARY, REPLICA, PORT = "127.0.0.2", "127.0.0.3", 6379
RATE_PER_SECOND = 50.0
WRITES_BEFORE, WRITES_ALONE, WRITES_AFTER = 50, 50, 25
PATIENCE_SECONDS = 30.0

# The user `default` may do anything, from within the pod alone: both servers listen on its loopback.
START = """
umask 077
digest=$(tr -d '\\n' < /etc/hms/secrets/redis/drill-password | sha256sum)
printf 'user default on nopass ~* &* +@all\\nuser drill on #%s ~* &* +@all\\n' "${digest%% *}" > "/tmp/$1.acl"
mkdir -p "/tmp/$1" && cd "/tmp/$1"
exec redis-server --bind "$1" --port "$2" --aclfile "/tmp/$1.acl" --save '' --appendonly no \\
    --min-replicas-to-write 0 --repl-diskless-sync-delay 0 $3
"""

Progress = Callable[[str], None]


def control_settings(inventory: Inventory, *, run: str) -> Settings:
    """Return the settings of a writer that knows the control's pair and nothing else."""
    settings = make_settings(inventory, run=run, rates={"redis": RATE_PER_SECOND})
    pair: RedisSettings = msgspec.structs.replace(
        settings.redis, nodes=(PRIMARY, REPLICA), port=PORT, sentinels=(), minimum_replicas=0
    )
    return msgspec.structs.replace(settings, redis=pair, read_rates_per_second={})


def control_manifest(inventory: Inventory, settings: Settings) -> dict[str, Any]:
    """Return the drill's pod with the pair in the observer's place; it is held to the same security standard."""
    document = manifest(inventory, settings)
    (writer, *_) = document["spec"]["containers"]
    image = next(one.image for one in inventory.workload("redis").containers if one.name == "redis")
    mounts = [mount for mount in writer["volumeMounts"] if mount["name"] in {"redis", "tmp"}]
    servers = [
        {
            **writer,
            "name": name,
            "image": image,
            "command": ["bash", "-c", START, "bash", address, str(PORT), option],
            "env": [],
            "volumeMounts": mounts,
        }
        for name, address, option in (("primary", PRIMARY, ""), ("replica", REPLICA, f"--replicaof {PRIMARY} {PORT}"))
    ]
    document["spec"]["containers"] = [writer, *servers]
    return document


def run_control(
    *, inventory: Inventory, kubectl: Kubectl, evidence: EvidenceDirectory, progress: Progress, number: int = 1
) -> None:
    """Run the control once and leave `drills/control-redis-asynchronous/<number>/` in the evidence.

    `HmsError` only where it could not be run. That nothing was lost is evidence, and for the judge to say.
    """
    within = kubectl.within(inventory.namespace)
    settings = control_settings(inventory, run=secrets.token_hex(4))
    document = control_manifest(inventory, settings)
    with alone(kubectl, inventory), DrillPod(within, inventory, settings, progress=progress, document=document) as pod:
        trial, files = Control(within, pod, f"{DRILL}-{number}", number).run()
    folder = f"drills/{DRILL}/{number}"
    for name, content in sorted(files.items()):
        evidence.write_bytes(f"{folder}/{name}", content)
    evidence.write(f"{folder}/trial.json", trial)
    progress(f"{DRILL}-{number}: {trial.fault.proof}")


class Control:
    """One control on a pod that is ready."""

    def __init__(self, kubectl: Kubectl, pod: DrillPod, name: str, number: int) -> None:
        self._kubectl = kubectl
        self._pod = pod
        self._name = name
        self._number = number
        self._events: list[Event] = []

    def run(self) -> tuple[Trial, dict[str, bytes]]:
        """Write, promote, write on, demote, write again, read back."""
        self._ask(PRIMARY, "PING")
        self._attached(PRIMARY)
        self._pod.want(self._name)
        self._acknowledged(WRITES_BEFORE)
        at_ns, uncertainty_ns = self._now()
        self._ask(REPLICA, "REPLICAOF", "NO", "ONE")
        roles = tuple(self._ask(node, "ROLE").split()[0] for node in (PRIMARY, REPLICA))
        self._say(f"{REPLICA} promoted; roles of both: {', '.join(roles)}")
        self._acknowledged(WRITES_ALONE, since_ns=self._now()[0])
        healed_ns, _ = self._now()
        self._ask(PRIMARY, "REPLICAOF", REPLICA, str(PORT))
        self._say(f"{PRIMARY} follows {REPLICA} now")
        self._acknowledged(WRITES_AFTER, since_ns=healed_ns)
        attached = self._attached(REPLICA)
        self._pod.want("")
        stopped = self._wait(lambda feed: feed.stopped.get(self._name), "the writer did not read back")
        (result,) = stopped.results
        least_replicas = self._ask(PRIMARY, "CONFIG", "GET", "min-replicas-to-write").split()[-1]
        trial = Trial(
            drill=DRILL,
            number=self._number,
            fault=Fault(
                name=DRILL, target=PRIMARY, at_ns=at_ns, clock_uncertainty_ns=uncertainty_ns,
                proved=roles == ("master", "master"),
                proof=f"{PRIMARY} and {REPLICA} answered as {' and '.join(roles)}",
            ),
            steady_before=Steady(ok=True, detail=f"{REPLICA} followed {PRIMARY}, link up; writes acknowledged"),
            steady_after=Steady(ok=True, detail=attached),
            effective={"redis min-replicas-to-write": least_replicas},
            events=tuple(self._events),
            writers=(
                Writer(
                    name="redis", rate_per_second=RATE_PER_SECOND, nodes=result.nodes,
                    authoritative=result.authoritative,
                ),
            ),
            control=HOW,
        )  # fmt: skip
        return trial, self._pod.fetch(self._name, stopped.files)

    def _attached(self, master: str) -> str:
        """Wait until a node has a replica that is level with it."""
        script = (
            f"for i in $(seq 300); do redis-cli -h {master} info replication | tr -d '\\r' |"
            " grep -q '^slave0:.*state=online' && exit 0; sleep 0.1; done; exit 1"
        )
        try:
            self._kubectl.exec(NAME, "primary", ["bash", "-c", script])
        except KubectlError as error:
            raise HmsError(f"{self._name}: {master} has no replica within 30 s") from error
        return f"{master} is master of the other, link up"

    def _ask(self, node: str, *words: str) -> str:
        return self._kubectl.exec(NAME, "primary", ["redis-cli", "-h", node, "-p", str(PORT), *words]).strip()

    def _acknowledged(self, count: int, *, since_ns: int = 0) -> None:
        """Wait until so many more writes are acknowledged, the last of them sent after a moment."""
        status = self._pod.feed.statuses.get("redis")
        wanted = (status.acknowledged if status else 0) + count

        def enough(feed: Feed) -> bool | None:
            now = feed.statuses.get("redis")
            return True if now and now.acknowledged >= wanted and now.last_acknowledged_sent_ns > since_ns else None

        self._wait(enough, f"not {count} more writes acknowledged")

    def _wait(self, condition: Callable[[Feed], T | None], what: str) -> T:
        found = self._pod.feed.wait(condition, PATIENCE_SECONDS)
        if found is None:
            raise HmsError(f"{self._name}: {what} within {PATIENCE_SECONDS:g} s: {json.dumps(self._pod.feed.failures)}")
        return found

    def _now(self) -> tuple[int, int]:
        return self._pod.far_ns(), self._pod.offset.uncertainty_ns

    def _say(self, what: str) -> None:
        self._events.append(Event(at_ns=self._pod.far_ns(), source="drill", what=what))
