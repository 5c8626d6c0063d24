"""How often a client may ask: the tiers, and the decision on one request. Pure: no clock, no I/O.

A client has a token bucket for its burst and two sliding windows, a minute and an hour.

Invariants:
- All limits are looked at before any is spent: a request that is refused costs nothing.
- In no span of 60 s, and in none of 3,600 s, pass more requests than the window's limit. A window is counted in
  `BUCKETS` parts, and a part counts until the last request in it has left, so that room comes back at most one part
  late, a thirtieth of the window, and never early.
- After `retry_after_us`, if nothing else was spent, the request passes; a microsecond sooner it does not.

`app/middleware/rate_limiter.lua` is the same decision inside Redis, on its own clock; a test holds both to each other.
The bucket is kept as the generic cell rate algorithm does: one time, at which it will be full.
"""

from dataclasses import dataclass
from enum import Enum

BUCKETS = 30
WIDTHS_US = (2_000_000, 120_000_000)
"""A thirtieth of a minute, and of an hour."""

POLICIES = ("burst", "minute", "hour")

Counts = tuple[tuple[int, int], ...]


class Tier(Enum):
    """What a client may ask for: who shows no key is anonymous, the others have keys of that tier."""

    ANONYMOUS = "anonymous"
    AUTHENTICATED = "authenticated"
    PREMIUM = "premium"
    ENTERPRISE = "enterprise"
    INTERNAL = "internal"


KEY_TIERS = tuple(tier for tier in Tier if tier is not Tier.ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests of one client at most, in any minute, in any hour, and at once after a pause. Each is 1 at least."""

    per_minute: int
    per_hour: int
    burst: int

    @property
    def interval_us(self) -> int:
        """Return the microseconds in which the bucket gains one request: it fills at the rate of the minute."""
        return max(1, 60_000_000 // self.per_minute)

    def share(self, instances: int) -> "Limits":
        """Return what one of `instances` may let through while they cannot count together: never nothing."""
        return Limits(*(max(1, limit // instances) for limit in (self.per_minute, self.per_hour, self.burst)))


DEFAULT_LIMITS = {
    Tier.ANONYMOUS: Limits(60, 1_000, 10),
    Tier.AUTHENTICATED: Limits(200, 5_000, 50),
    Tier.PREMIUM: Limits(1_000, 20_000, 200),
    Tier.ENTERPRISE: Limits(10_000, 200_000, 1_000),
    # The stack's own load generator and drills: counted like everybody, and never in their own way.
    Tier.INTERNAL: Limits(1_000_000, 60_000_000, 100_000),
}


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one client: when its bucket is full, and its requests by part of each window, oldest first."""

    full_at_us: int = 0
    minute: Counts = ()
    hour: Counts = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request passes; `remaining` and `reset_us` are by `POLICIES`, after it was counted.

    `reset_us` is the time until the bucket is full, or until the oldest part leaves the window.
    """

    retry_after_us: int
    remaining: tuple[int, int, int]
    reset_us: tuple[int, int, int]

    @property
    def allowed(self) -> bool:
        """Say whether the request passes."""
        return self.retry_after_us == 0

    @classmethod
    def of(cls, numbers: list[int]) -> "Decision":
        """Return the decision that the script answers with: the wait, then remaining and reset of each policy."""
        wait, burst, burst_us, minute, minute_us, hour, hour_us = numbers
        return cls(wait, (burst, minute, hour), (burst_us, minute_us, hour_us))


def decide(state: State, limits: Limits, now_us: int) -> tuple[State, Decision]:
    """Decide on a request at `now_us`; return what is known of its client then.

    A clock that went back neither opens nor closes: what lies in the future counts as of now, and is then known so.
    """
    interval_us, burst_us = limits.interval_us, limits.interval_us * limits.burst
    ahead = state.full_at_us > now_us + burst_us
    full_at_us = max(now_us, min(state.full_at_us, now_us + burst_us))
    wait_us = max(0, full_at_us + interval_us - burst_us - now_us)
    windows = []
    for counts, limit, width_us in (
        (state.minute, limits.per_minute, WIDTHS_US[0]),
        (state.hour, limits.per_hour, WIDTHS_US[1]),
    ):
        ahead = ahead or any(index > now_us // width_us for index, _ in counts)
        kept = _kept(counts, now_us // width_us)
        wait_us = max(wait_us, _wait_us(kept, limit, width_us, now_us))
        windows.append(kept)
    if wait_us == 0:
        full_at_us += interval_us
        windows = [_counted(kept, now_us // width_us) for kept, width_us in zip(windows, WIDTHS_US, strict=True)]
    minute, hour = windows
    decision = Decision(
        wait_us,
        (
            (now_us + burst_us - full_at_us) // interval_us,
            max(0, limits.per_minute - _sum(minute)),
            max(0, limits.per_hour - _sum(hour)),
        ),
        (full_at_us - now_us, _reset_us(minute, WIDTHS_US[0], now_us), _reset_us(hour, WIDTHS_US[1], now_us)),
    )
    return State(full_at_us, minute, hour) if wait_us == 0 or ahead else state, decision


def _kept(counts: Counts, current: int) -> Counts:
    kept: list[tuple[int, int]] = []
    for index, count in counts:
        part = min(index, current)
        if part < current - BUCKETS:
            continue
        if kept and kept[-1][0] == part:
            kept[-1] = (part, kept[-1][1] + count)
        else:
            kept.append((part, count))
    return tuple(kept)


def _wait_us(kept: Counts, limit: int, width_us: int, now_us: int) -> int:
    excess = _sum(kept) + 1 - limit
    wait_us = 0
    for index, count in kept:
        if excess <= 0:
            break
        excess -= count
        wait_us = (index + BUCKETS + 1) * width_us - now_us
    return wait_us


def _counted(kept: Counts, current: int) -> Counts:
    if kept and kept[-1][0] == current:
        return (*kept[:-1], (current, kept[-1][1] + 1))
    return (*kept, (current, 1))


def _sum(counts: Counts) -> int:
    return sum(count for _, count in counts)


def _reset_us(counts: Counts, width_us: int, now_us: int) -> int:
    return (counts[0][0] + BUCKETS + 1) * width_us - now_us if counts else 0
