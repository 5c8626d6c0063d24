"""A random schedule from a seed: the same seed and length draw the same faults, two at a time included. Pure."""

import random
from collections.abc import Sequence

from drills.faults.fault import Fault
from drills.faults.together import Together, exclude_each_other

MOST_FAULTS = 1000
PAIRS_OF_TEN = 5
LONGEST_PAUSE_SECONDS = 3.0


def draw(seed: int, length: int, pool: Sequence[Fault]) -> tuple[Fault, ...]:
    """Return `length` faults drawn from the pool; where the draw says two, a second that the first does not exclude.

    What is drawn depends on the seed, the length and the names in the pool, not on their order. `ValueError` for an
    empty pool.
    """
    if not pool:
        raise ValueError("nothing to draw from")
    chance = random.Random(seed)  # noqa: S311 - a schedule that can be replayed, no secret
    ordered = sorted(pool, key=lambda fault: fault.name)
    return tuple(_one(chance, ordered) for _ in range(length))


def _one(chance: random.Random, pool: Sequence[Fault]) -> Fault:
    first = chance.choice(pool)
    second_wanted = chance.randrange(10) < PAIRS_OF_TEN
    pause_seconds = round(chance.uniform(0.0, LONGEST_PAUSE_SECONDS), 1)
    others = [fault for fault in pool if not exclude_each_other(first, fault)]
    if not second_wanted or not others:
        return first
    return Together.of(first, chance.choice(others), pause_seconds=pause_seconds)
