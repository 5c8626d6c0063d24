"""The drills of Redis and the Sentinels."""

from typing import Final

from drills.faults.engine import REDIS as ENGINE
from drills.faults.fault import Fault, Part
from drills.faults.redis import DeleteSentinel, Failover, FillMemory, NoMajority, RebornEmpty, SlowCommand
from drills.faults.server import Delete, Freeze, Kill

TOUCHES: Final[frozenset[Part]] = frozenset({"redis"})
NEW_PRIMARY = "writes go on within the Sentinels' time; Postgres loses nothing; the app answers"
PRIMARY_STAYS = "the primary stays; writes go on; nothing is lost"

REDIS: tuple[Fault, ...] = (
    Kill(
        name="redis-kill-primary",
        does="SIGKILL to redis-server of the Redis primary",
        undone="by the node's own start script, which joins it as a replica of whoever was promoted",
        proved_by="the process is gone; the node answers with another run id, or another one is master",
        stays_true=NEW_PRIMARY,
        seconds=11,
        touches=TOUCHES,
        engine=ENGINE,
        member="primary",
    ),
    Freeze(
        name="redis-freeze-primary",
        does="freezes the pod of the Redis primary until another node is master",
        undone="by thawing its control group",
        proved_by="the kernel's freezer says frozen, until another node is master",
        stays_true=NEW_PRIMARY,
        seconds=18,
        touches=TOUCHES,
        needs=("machines",),
        engine=ENGINE,
    ),
    Freeze(
        name="redis-blink-primary",
        does="freezes the pod of the Redis primary for a moment that each trial makes another",
        undone="by thawing its control group",
        proved_by="the kernel's freezer says frozen",
        stays_true="no write is counted twice, whoever is master; Postgres loses nothing",
        seconds=20,
        touches=TOUCHES,
        needs=("machines",),
        engine=ENGINE,
        moments_seconds=(0.2, 1.0, 5.0, 0.5, 2.0, 3.5),
    ),
    Delete(
        name="redis-delete-primary",
        does="deletes the pod of the Redis primary by force",
        undone="by the StatefulSet, which makes the pod again on the same volume",
        proved_by="the API server has another pod or none by that name; the node has another run id, or another leads",
        stays_true=NEW_PRIMARY,
        seconds=14,
        touches=TOUCHES,
        engine=ENGINE,
        member="primary",
    ),
    Failover(
        name="redis-failover",
        does="asks a Sentinel for a failover of a healthy Redis primary",
        undone="by the Sentinels, which make the old primary a replica",
        proved_by="another node is master",
        stays_true="writes stop for the hand-over alone; Postgres loses nothing; the app answers",
        seconds=18,
        touches=TOUCHES,
    ),
    Kill(
        name="redis-kill-replica",
        does="SIGKILL to redis-server of a Redis replica",
        undone="by the node's own start script",
        proved_by="the process is gone; the node answers with another run id",
        stays_true=PRIMARY_STAYS,
        seconds=10,
        touches=TOUCHES,
        keeps=TOUCHES,
        engine=ENGINE,
        member="replica",
    ),
    RebornEmpty(
        name="redis-primary-reborn-empty",
        does="removes the files of the Redis primary and kills its server, which then starts with nothing",
        undone="by the node's own start script, which must join it as a replica",
        proved_by="the process is gone; the node answers with another run id, or another one is master",
        stays_true="the replicas keep what they have: an empty node does not become their master",
        seconds=14,
        touches=TOUCHES,
    ),
    DeleteSentinel(
        name="redis-sentinel-lost",
        does="deletes the pod of the first Sentinel by force",
        undone="by the StatefulSet, which makes the pod again on the same volume",
        proved_by="the API server has another pod or none by that name",
        stays_true=PRIMARY_STAYS,
        seconds=12,
        touches=TOUCHES,
        keeps=TOUCHES,
    ),
    NoMajority(
        name="redis-two-sentinels-lost",
        does="stops two of the Sentinels, then kills the Redis primary's server",
        undone="by SIGCONT to the Sentinels, which then promote a node or find the old one",
        proved_by="the processes are stopped, and gone; the Sentinel that is left says NOQUORUM",
        stays_true="without a majority nobody is promoted; the gap lasts until there is one; nothing is counted twice",
        seconds=42,
        touches=TOUCHES,
        lasts_seconds=4.0,
    ),
    FillMemory(
        name="redis-memory-full",
        does="fills the Redis primary with what may not be evicted, until it refuses, for 3 s",
        undone="by removing what fills it",
        proved_by="the server answers OOM",
        stays_true="the primary stays and refuses writes in words; reads go on; Postgres loses nothing",
        seconds=12,
        touches=TOUCHES,
        keeps=TOUCHES,
        lasts_seconds=3.0,
    ),
    SlowCommand(
        name="redis-slow-command",
        does="blocks the Redis primary for 400 ms by a script, five times, a second apart",
        undone="by itself: the scripts end",
        proved_by="the server's own word: how long each script kept its only thread",
        stays_true="the primary stays: slow is not dead",
        seconds=16,
        touches=TOUCHES,
        keeps=TOUCHES,
    ),
)
