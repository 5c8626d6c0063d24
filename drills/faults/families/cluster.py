"""The drills of the cluster itself."""

from typing import Final

from drills.faults.cluster import DeleteAllPostgres, StopApiServer, StopNames
from drills.faults.fault import EVERYTHING, Fault, Part

ENGINES: Final[frozenset[Part]] = frozenset({"postgres", "redis"})

CLUSTER: tuple[Fault, ...] = (
    StopApiServer(
        name="cluster-stop-api-server",
        does="stops the API server for 60 s, which is then killed and started anew",
        undone="by SIGKILL to it, as by its liveness probe; the control plane starts it again",
        proved_by="the kernel says of the process: stopped",
        stays_true="Postgres keeps its primary, whose members vouch for each other (failsafe mode); writes go on",
        seconds=80,
        touches=EVERYTHING,
        needs=("machines",),
        keeps=ENGINES,
        cuts_off=True,
        lasts_seconds=60.0,
        recovery_seconds=120.0,
    ),
    StopApiServer(
        name="cluster-freeze-api-server",
        does="freezes the API server for 30 s, which then goes on with what it was asked before",
        undone="by SIGCONT to it",
        proved_by="the kernel says of the process: stopped",
        stays_true="nothing is lost; the primary may give its lock up for a moment when the API server answers again",
        seconds=48,
        touches=EVERYTHING,
        needs=("machines",),
        cuts_off=True,
        lasts_seconds=30.0,
        recovery_seconds=120.0,
        goes_on=True,
    ),
    StopNames(
        name="cluster-stop-names",
        does="freezes the cluster's DNS for 10 s",
        undone="by thawing its pods",
        proved_by="the kernel's freezer says frozen, and a name that is looked up gets no answer",
        stays_true="no engine changes its primary; sessions that were there before go on",
        seconds=19,
        touches=frozenset({"names"}),
        needs=("machines",),
        keeps=ENGINES,
        lasts_seconds=10.0,
    ),
    DeleteAllPostgres(
        name="cluster-restart-postgres",
        does="deletes all pods of Postgres at once by force",
        undone="by the StatefulSet, which makes them again on their volumes",
        proved_by="the API server has none of the pods of before, and no postmaster of before answers",
        stays_true="nothing acknowledged is lost; one of them leads; Redis goes on",
        seconds=22,
        touches=frozenset({"postgres"}),
        keeps=frozenset({"redis"}),
        recovery_seconds=120.0,
    ),
)
