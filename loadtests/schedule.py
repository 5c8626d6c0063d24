"""The schedule of an open loop: when each request is due, decided before the first one is sent."""

from collections.abc import Iterator
from random import Random
from typing import Literal

from hms.load_shape import LoadShape

NANOSECONDS = 1_000_000_000

Arrivals = Literal["poisson", "constant"]


def _counts(arrivals: Arrivals, random: Random) -> Iterator[float]:
    """Yield, without end, the times of arrivals at a rate of one."""
    if arrivals == "constant":
        # Where it begins is chance, so that the streams of several workers do not beat in time.
        at = random.random()
        while True:
            yield at
            at += 1.0
    at = 0.0
    while True:
        at += random.expovariate(1.0)
        yield at


def offsets_ns(*, rate_per_second: float, shape: LoadShape, arrivals: Arrivals, random: Random) -> Iterator[int]:
    """Yield the times of arrivals, in nanoseconds from the start, until the shape's end; non-decreasing.

    `poisson`: the gaps are independent and exponential, as where many people act independently; streams laid over each
    other are again Poisson, at the sum of their rates. `constant`: evenly spaced. Both follow the shape's rate of the
    moment. The same `random` gives the same times, whatever the server does: that is what makes
    the loop open.
    """
    stages = iter(shape.stages)
    stage = next(stages)
    counted = began = 0.0
    for count in _counts(arrivals, random):
        expected = count / rate_per_second
        while expected - counted >= stage.count:
            counted += stage.count
            began += stage.seconds
            following = next(stages, None)
            if following is None:
                return
            stage = following
        yield round((began + stage.when(expected - counted)) * NANOSECONDS)
