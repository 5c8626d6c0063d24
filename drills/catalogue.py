"""All drills, by name."""

from drills.faults import app, postgres, redis
from drills.faults.fault import Fault
from hms.errors import UsageError

FAULTS: tuple[Fault, ...] = (
    postgres.KillPrimary(),
    postgres.DeletePrimary(),
    postgres.Switchover(),
    postgres.KillReplica(),
    redis.KillPrimary(),
    redis.DeletePrimary(),
    redis.Failover(),
    redis.KillReplica(),
    app.DeleteOne(),
)

DRILLS: dict[str, Fault] = {fault.name: fault for fault in FAULTS}


def find(names: tuple[str, ...]) -> tuple[Fault, ...]:
    """Return the drills of these names, each once; `UsageError` has every name that is none."""
    unknown = [name for name in names if name not in DRILLS]
    if unknown:
        raise UsageError(
            f"no such drill: {', '.join(unknown)}", remedy=f"`hms drill list` shows them: {', '.join(DRILLS)}"
        )
    return tuple(DRILLS[name] for name in dict.fromkeys(names))
