"""All drills, by name."""

from collections.abc import Iterable, Sequence

from drills.faults.families import APP, CLUSTER, NODE, POSTGRES, REDIS, SOAK, SWEEP
from drills.faults.fault import Fault
from hms.errors import UsageError

FAULTS: tuple[Fault, ...] = (*POSTGRES, *REDIS, *APP, *NODE, *CLUSTER)

DRILLS: dict[str, Fault] = {fault.name: fault for fault in (*FAULTS, *SWEEP, *SOAK)}
"""All that can be named. What a sweep and a soak show grows with their length, so they are none of all faults."""


def find(names: Sequence[str]) -> tuple[Fault, ...]:
    """Return the drills of these names, each once; `UsageError` has every name that is none."""
    unknown = [name for name in names if name not in DRILLS]
    if unknown:
        raise UsageError(
            f"no such drill: {', '.join(unknown)}", remedy=f"`hms drill list` shows them: {', '.join(DRILLS)}"
        )
    return tuple(DRILLS[name] for name in dict.fromkeys(names))


def total_seconds(faults: Iterable[Fault]) -> float:
    """Return about how long a trial of each takes on a quiet machine, one after the other."""
    return sum(fault.seconds for fault in faults)
