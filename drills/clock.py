"""The monotonic clocks of a drill, and the way from the driver's to the pod's.

A trial's times are those of the pod that writes. Containers on one running kernel share its clock: the boot id says
whether they do. Where they do not, the offset is measured as Cristian did (Probabilistic clock synchronization, 1989):
of several round trips the shortest counts, and half of it is the uncertainty.

`python -m drills.clock` is the far end: it answers each line on stdin with its boot id and its clock.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Return the identity of this run of the kernel."""
    return _BOOT_ID.read_text().strip()


@dataclass(frozen=True, slots=True)
class Ping:
    """One round trip: the near clock before and after, the far clock between, all in nanoseconds."""

    sent_ns: int
    far_ns: int
    received_ns: int

    @property
    def round_trip_ns(self) -> int:
        """How long the round trip took on the near clock."""
        return self.received_ns - self.sent_ns


@dataclass(frozen=True, slots=True)
class Offset:
    """What to add to the near clock for the far one, and the bound on the error of doing so."""

    offset_ns: int
    uncertainty_ns: int

    def earliest(self, near_ns: int) -> int:
        """Return the earliest far time that a near time can be: gaps counted from it are never too short."""
        return near_ns + self.offset_ns - self.uncertainty_ns

    def likely(self, near_ns: int) -> int:
        """Return the likeliest far time of a near time."""
        return near_ns + self.offset_ns


SAME_CLOCK = Offset(0, 0)


def estimate(pings: Sequence[Ping], *, same_kernel: bool) -> Offset:
    """Return the offset from the near to the far clock.

    Invariant: the true offset is within `uncertainty_ns` of `offset_ns`, if the far clock was read between the two
    near times of each ping. On one kernel the offset is exactly zero, unless a ping contradicts it (the far end has
    a time namespace of its own); then it is measured like any other. `ValueError` without a ping.
    """
    if not pings:
        raise ValueError("the offset of a clock needs at least one round trip")
    if same_kernel and all(ping.sent_ns <= ping.far_ns <= ping.received_ns for ping in pings):
        return SAME_CLOCK
    best = min(pings, key=lambda ping: ping.round_trip_ns)
    uncertainty_ns = (best.round_trip_ns + 1) // 2
    return Offset(best.far_ns - best.sent_ns - best.round_trip_ns // 2, uncertainty_ns)


def main() -> None:
    """Answer every line with `boot id, monotonic ns, boottime minus monotonic ns`."""
    here = boot_id()
    for _ in sys.stdin:
        now_ns = time.monotonic_ns()
        asleep_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
        sys.stdout.write(f"{here} {now_ns} {asleep_ns}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
