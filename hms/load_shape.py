"""The shape of a load: how the rate of arrivals changes over time, as a multiple of a base rate. Pure.

A shape is stages, one after the other: `1:30s` holds the base rate for 30 s, `1-10:60s` ramps from it to ten times as
much, `10:5s` holds that. So `1:60s, 10:10s, 1:60s` is a spike of ten times, and the empty text is the base rate
throughout. Arrivals at a changing rate are had from those of rate 1 by turning time into expected counts and back
(Cinlar, "Introduction to Stochastic Processes", 1975, 4.7), which is exact for Poisson and for even spacing alike.
"""

import math
import re

import msgspec

STAGE = re.compile(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?:(\d+(?:\.\d+)?)(s|m|h)")
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600}
MOST_STAGES = 20
HIGHEST_FACTOR = 1000.0


class Stage(msgspec.Struct, frozen=True):
    """From `start` to `end` times the base rate, in a straight line, within `seconds`, which may be infinite."""

    seconds: float
    start: float
    end: float

    @property
    def count(self) -> float:
        """Return how many arrivals are expected in it at a base rate of one a second."""
        return self.seconds * (self.start + self.end) / 2 if self.start or self.end else 0.0

    def when(self, count: float) -> float:
        """Return after how many seconds `count` arrivals are expected; `count` is at most the stage's own."""
        slope = 0.0 if math.isinf(self.seconds) else (self.end - self.start) / self.seconds
        # The root of start*t + slope*t*t/2 = count, in the form that loses no digits where the slope is small.
        divisor = self.start + math.sqrt(max(0.0, self.start**2 + 2 * slope * count))
        return 2 * count / divisor if divisor else 0.0


class LoadShape(msgspec.Struct, frozen=True):
    """The stages in their order; at least one."""

    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """Return how long all stages last."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def count(self) -> float:
        """Return how many arrivals are expected at a base rate of one a second."""
        return sum(stage.count for stage in self.stages)

    @property
    def highest(self) -> float:
        """Return the highest multiple of the base rate."""
        return max(max(stage.start, stage.end) for stage in self.stages)

    @property
    def calm_after(self) -> float | None:
        """Return the second from which on the rate is never above the base rate again; None if it never was."""
        at, calm = 0.0, None
        for stage in self.stages:
            at += stage.seconds
            if max(stage.start, stage.end) > 1:
                calm = at
        return calm if calm is not None and calm < self.seconds else None


def steady(seconds: float) -> LoadShape:
    """Return the base rate for so long."""
    return LoadShape((Stage(seconds, 1.0, 1.0),))


def parse_shape(text: str) -> LoadShape:
    """Read `factor[-factor]:duration`, with commas between; `ValueError` says what is wrong, with its bound."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST_STAGES:
        raise ValueError(f"has {len(parts)} stages: must have from 1 to {MOST_STAGES}")
    shape = LoadShape(tuple(_stage(part) for part in parts))
    if not shape.count:
        raise ValueError("never has an arrival: a stage must be above 0")
    return shape


def _stage(text: str) -> Stage:
    found = STAGE.fullmatch(text)
    if found is None:
        raise ValueError(f"stage {text!r}: must be a multiple of the rate and a duration, as in 1:30s or 1-10:2m")
    start, end, length, unit = found.groups()
    stage = Stage(float(length) * UNIT_SECONDS[unit], float(start), float(end if end is not None else start))
    if stage.seconds <= 0:
        raise ValueError(f"stage {text!r}: must last longer than 0 s")
    if max(stage.start, stage.end) > HIGHEST_FACTOR:
        raise ValueError(f"stage {text!r}: must be at most {HIGHEST_FACTOR:g} times the rate")
    return stage
