"""The soak: nothing is broken."""

from drills.faults.fault import EVERYTHING, Fault
from drills.faults.soak import Soak

SOAK: tuple[Fault, ...] = (
    Soak(
        name="soak-busy",
        does="breaks nothing: for 60 s Postgres writes, compacts, checkpoints and lacks CPU, Redis rewrites its log "
        "and runs slow commands",
        undone="by itself: it ends",
        proved_by="the kernel's count of throttled periods, Redis' count of rewrites, the rounds that were done",
        stays_true="no engine changes its primary; nothing is lost",
        seconds=70,
        touches=EVERYTHING,
        keeps=frozenset({"postgres", "redis"}),
        lasts_seconds=60.0,
    ),
)
