"""How often each of many things is asked for."""

from bisect import bisect_right
from itertools import accumulate
from random import Random


class Zipf:
    """Zipf's law over `size` ranks: rank r, counted from 0, is drawn with a probability in proportion to 1/(r+1)^s.

    `exponent` is the s. Raises `ValueError` unless size >= 1 and exponent >= 0; 0 is the uniform law.
    """

    def __init__(self, *, size: int, exponent: float) -> None:
        if size < 1:
            raise ValueError(f"size {size}: must be at least 1")
        if exponent < 0:
            raise ValueError(f"exponent {exponent:g}: must be at least 0")
        self.size = size
        self.exponent = exponent
        self._cumulative: list[float] = list(accumulate(1.0 / (rank + 1.0) ** exponent for rank in range(size)))

    def probability(self, rank: int) -> float:
        """Return how likely `rank` is to be drawn."""
        below = self._cumulative[rank - 1] if rank else 0.0
        return (self._cumulative[rank] - below) / self._cumulative[-1]

    def draw(self, random: Random) -> int:
        """Return a rank."""
        # Rounding can put the product on the last sum itself, one past the last rank.
        return min(bisect_right(self._cumulative, random.random() * self._cumulative[-1]), self.size - 1)
