"""All drills, by name."""

from drills.faults import postgres, redis
from drills.faults.fault import Fault
from hms.errors import UsageError

DRILLS: dict[str, Fault] = {fault.name: fault for fault in (postgres.KillPrimary(), redis.KillPrimary())}


def find(names: tuple[str, ...]) -> tuple[Fault, ...]:
    """Return the drills of these names; `UsageError` has every name that is none."""
    unknown = [name for name in names if name not in DRILLS]
    if unknown:
        raise UsageError(
            f"no such drill: {', '.join(unknown)}", remedy=f"`hms drill list` shows them: {', '.join(DRILLS)}"
        )
    return tuple(DRILLS[name] for name in names)
