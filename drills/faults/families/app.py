"""The drills of the app."""

from typing import Final

from drills.faults.app import DeletePods, OutOfMemory, RollingUpdate, StarveOfCpu
from drills.faults.fault import Fault, Part

TOUCHES: Final[frozenset[Part]] = frozenset({"app"})
ENGINES: Final[frozenset[Part]] = frozenset({"postgres", "redis"})
OTHERS_ANSWER = "the other pods answer; nothing that was acknowledged is lost"

APP: tuple[Fault, ...] = (
    DeletePods(
        name="app-delete-one",
        does="deletes one pod of the app by force",
        undone="by the Deployment, which makes another",
        proved_by="the API server has no pod by that name any more",
        stays_true=OTHERS_ANSWER,
        seconds=10,
        touches=TOUCHES,
        keeps=ENGINES,
    ),
    DeletePods(
        name="app-delete-all-but-one",
        does="deletes all pods of the app but one by force",
        undone="by the Deployment, which makes others",
        proved_by="the API server has no pods by these names any more",
        stays_true="the pod that is left answers; nothing that was acknowledged is lost",
        seconds=9,
        touches=TOUCHES,
        keeps=ENGINES,
        all_but_one=True,
    ),
    RollingUpdate(
        name="app-rolling-update",
        does="has every pod of the app replaced, as an update does, while requests come",
        undone="by itself: the update ends",
        proved_by="the update is through and the API server has none of the pods of before",
        stays_true="no request fails; nothing that was acknowledged is lost",
        seconds=20,
        touches=TOUCHES,
        keeps=ENGINES,
    ),
    OutOfMemory(
        name="app-out-of-memory",
        does="fills the memory of one of the app's containers until the kernel kills its server",
        undone="by the kubelet, which starts the container again",
        proved_by="the kubelet says of the container: OOMKilled",
        stays_true=OTHERS_ANSWER,
        seconds=12,
        touches=TOUCHES,
        keeps=ENGINES,
    ),
    StarveOfCpu(
        name="app-starved-of-cpu",
        does="has eight processes spin inside the CPU limit of one of the app's containers for 8 s",
        undone="by itself: they end",
        proved_by="the kernel's count of periods in which the container was throttled",
        stays_true="the other pods answer; no engine changes its primary",
        seconds=14,
        touches=TOUCHES,
        keeps=ENGINES,
    ),
)
