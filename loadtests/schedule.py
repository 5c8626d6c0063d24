"""The schedule of an open loop: when each request is due, decided before the first one is sent."""

from collections.abc import Iterator
from random import Random

NANOSECONDS = 1_000_000_000


def poisson_offsets_ns(*, rate_per_second: float, seconds: float | None, random: Random) -> Iterator[int]:
    """Yield the times of arrivals, in nanoseconds from the start, of a Poisson process that ends after `seconds`.

    The gaps are independent and exponential with mean 1 / rate, as where many people act independently; streams
    laid over each other are again Poisson, at the sum of their rates. Non-decreasing; never ends if `seconds` is None.
    The same `random` gives the same times, whatever the server does: that is what makes the loop open.
    """
    end = None if seconds is None else seconds
    at = 0.0
    while True:
        at += random.expovariate(rate_per_second)
        if end is not None and at >= end:
            return
        yield round(at * NANOSECONDS)
