"""How long each of many requests takes, asked one after the other."""

import time
from collections.abc import Callable

import httpx

Ask = Callable[[int], httpx.Response]


def milliseconds(ask: Ask, count: int) -> tuple[list[float], set[int]]:
    """Return the duration of each of `count` requests, and the statuses of the answers."""
    durations, statuses = [], set()
    for number in range(count):
        began = time.monotonic()
        statuses.add(ask(number).status_code)
        durations.append((time.monotonic() - began) * 1000)
    return durations, statuses
