"""The drills of Postgres."""

from typing import Final

from drills.faults.engine import POSTGRES as ENGINE
from drills.faults.fault import Fault, Part
from drills.faults.postgres import (
    ConnectionStorm,
    FillWal,
    FreezePatroni,
    KillBothReplicas,
    KillPatroni,
    LoseVolumes,
    Switchover,
)
from drills.faults.server import Delete, Freeze, Kill

TOUCHES: Final[frozenset[Part]] = frozenset({"postgres"})
NEW_PRIMARY = "every acknowledged write is on the new primary; Redis and reads go on"
PRIMARY_STAYS = "the primary stays; writes go on with the other replica's confirmation; nothing is lost"
GONE_PROOF = "the process is gone; the member's postmaster has another start time, or another member leads"

POSTGRES: tuple[Fault, ...] = (
    Kill(
        name="postgres-kill-primary",
        does="SIGKILL to the postmaster of the Postgres primary",
        undone="by Patroni, which starts the member again as a replica",
        proved_by=GONE_PROOF,
        stays_true=NEW_PRIMARY,
        seconds=11,
        touches=TOUCHES,
        engine=ENGINE,
        member="primary",
    ),
    KillPatroni(
        name="postgres-kill-patroni",
        does="SIGKILL to the Patroni of the Postgres primary",
        undone="by the kubelet, which starts the container again",
        proved_by=GONE_PROOF,
        stays_true=NEW_PRIMARY,
        seconds=15,
        touches=TOUCHES,
    ),
    Freeze(
        name="postgres-freeze-primary",
        does="freezes the pod of the Postgres primary until another member leads",
        undone="by thawing its control group",
        proved_by="the kernel's freezer says frozen, until another member leads",
        stays_true="every acknowledged write is on the new primary, also what the old one says when it wakes",
        seconds=15,
        touches=TOUCHES,
        needs=("machines",),
        engine=ENGINE,
    ),
    Freeze(
        name="postgres-blink-primary",
        does="freezes the pod of the Postgres primary for a moment that each trial makes another",
        undone="by thawing its control group",
        proved_by="the kernel's freezer says frozen",
        stays_true="nothing acknowledged is lost, whoever leads; Redis and reads go on",
        seconds=14,
        touches=TOUCHES,
        needs=("machines",),
        engine=ENGINE,
        moments_seconds=(0.2, 1.0, 5.0, 0.5, 2.0, 3.5),
    ),
    FreezePatroni(
        name="postgres-freeze-patroni",
        does="SIGSTOP to the Patroni of the Postgres primary, whose Postgres serves on, until another member leads",
        undone="by SIGCONT to it",
        proved_by="the kernel says of the process: stopped",
        stays_true=NEW_PRIMARY,
        seconds=26,
        touches=TOUCHES,
    ),
    Delete(
        name="postgres-delete-primary",
        does="deletes the pod of the Postgres primary by force",
        undone="by the StatefulSet, which makes the pod again on the same volumes",
        proved_by="the API server has another pod or none by that name; its postmaster is another, or another leads",
        stays_true=NEW_PRIMARY,
        seconds=17,
        touches=TOUCHES,
        engine=ENGINE,
        member="primary",
    ),
    Switchover(
        name="postgres-switchover",
        does="asks Patroni for a switchover to whichever replica is quicker",
        undone="by Patroni, which makes the old primary a replica",
        proved_by="another member leads",
        stays_true="nothing is lost; writes stop for the hand-over alone",
        seconds=12,
        touches=TOUCHES,
    ),
    Kill(
        name="postgres-kill-replica",
        does="SIGKILL to the postmaster of a synchronous Postgres replica",
        undone="by Patroni, which starts the member again",
        proved_by="the process is gone; the member's postmaster has another start time or none",
        stays_true=PRIMARY_STAYS,
        seconds=10,
        touches=TOUCHES,
        keeps=TOUCHES,
        engine=ENGINE,
        member="replica",
    ),
    KillBothReplicas(
        name="postgres-kill-both-replicas",
        does="SIGKILL to the postmasters of all Postgres replicas, and SIGSTOP to their Patronis for 6 s",
        undone="by SIGCONT; the Patronis start the members again",
        proved_by="the processes are gone, and stopped; the primary says that nobody streams",
        stays_true="the primary stays and acknowledges nothing that nobody else has; every member has all that it did",
        seconds=20,
        touches=TOUCHES,
        keeps=TOUCHES,
        lasts_seconds=6.0,
    ),
    LoseVolumes(
        name="postgres-lose-replica-volumes",
        does="deletes a Postgres replica's pod with its volumes",
        undone="by the StatefulSet, which makes new ones, and Patroni, which copies the primary's data",
        proved_by="the API server has other volume claims and another pod by these names; the postmaster is another",
        stays_true=PRIMARY_STAYS,
        seconds=19,
        touches=TOUCHES,
        keeps=TOUCHES,
        member="replica",
    ),
    LoseVolumes(
        name="postgres-lose-primary-volumes",
        does="deletes the Postgres primary's pod with its volumes",
        undone="by the StatefulSet, which makes new ones, and Patroni, which copies the new primary's data",
        proved_by="the API server has other volume claims and another pod by these names; the postmaster is another",
        stays_true=NEW_PRIMARY,
        seconds=18,
        touches=TOUCHES,
        member="primary",
    ),
    FillWal(
        name="postgres-wal-disk-full",
        does="fills the volume of the Postgres primary's write-ahead log",
        undone="by removing the file that fills it",
        proved_by="writing to the volume ends with ENOSPC",
        stays_true="what was acknowledged is there afterwards; what could not be logged was not acknowledged",
        seconds=25,
        touches=TOUCHES,
    ),
    ConnectionStorm(
        name="postgres-connection-storm",
        does="asks the Postgres primary for five times as many sessions as it allows, and keeps what it gets for 4 s",
        undone="by itself: the sessions are closed",
        proved_by="the server refused sessions because it had too many",
        stays_true="the primary stays; the app gets the sessions that it asks for; nothing is lost",
        seconds=16,
        touches=TOUCHES,
        keeps=TOUCHES,
    ),
)

_STEPS, _STRIDE = 150, 59
THAWS_SECONDS: Final = tuple(round(0.3 + 0.01 * (n * _STRIDE % _STEPS), 2) for n in range(_STEPS))
"""From 0.3 to 1.79 s in steps of 10 ms, every length once, so ordered that a few trials lie all over it."""

SWEEP: tuple[Fault, ...] = (
    Freeze(
        name="postgres-thaw-primary",
        does="freezes the pod of the Postgres primary and thaws it around the decision about it, 10 ms a trial",
        undone="by thawing its control group",
        proved_by="the kernel's freezer says frozen",
        stays_true="what the old primary acknowledges when it wakes, also to clients that stayed with it, is kept",
        seconds=12,
        touches=TOUCHES,
        needs=("machines",),
        stubborn=True,
        engine=ENGINE,
        moments_seconds=THAWS_SECONDS,
    ),
)
