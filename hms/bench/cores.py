"""Which core a child runs on: the service gets one for itself, so that its rate is a rate per core."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hms.errors import BenchError

CORES_NEEDED = 2


def split() -> tuple[int, int]:
    """Return a core for the service and one for the servers and the load. Raises `BenchError` if there are not two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < CORES_NEEDED:
        raise BenchError(
            f"this process may use {len(cores)} core, {CORES_NEEDED} are needed",
            remedy="The service is measured on a core of its own, apart from the database and the load.",
        )
    return cores[0], cores[1]


@contextmanager
def started_on(core: int) -> Iterator[None]:
    """Put every child that this thread starts in the block, and all that the child starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
