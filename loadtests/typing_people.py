"""People who type: each has a text in mind and types it letter by letter, then thinks of another one."""

from collections.abc import Callable
from random import Random

LETTER_SECONDS = 0.25
"""Between two letters of one person, on average: 40 words a minute, of five letters and a space."""

FIRST_LETTERS = 2
"""A text shorter than this is not asked for; the service's own page does not either."""


class TypingPeople:
    """As many people as it takes for `rate_per_second` letters, each with a text of its own from `think`.

    The next letter is anybody's, so that a stream of Poisson arrivals stays one; each person's letters come in order.
    """

    def __init__(self, think: Callable[[], str], *, rate_per_second: float, random: Random) -> None:
        self._think = think
        self._random = random
        self._texts = [""] * max(1, round(rate_per_second * LETTER_SECONDS))
        self._typed = [0] * len(self._texts)

    def next_letter(self) -> tuple[str, bool]:
        """Return what one of them has typed now, and whether that is all that he had in mind."""
        who = self._random.randrange(len(self._texts))
        if self._typed[who] >= len(self._texts[who]):
            self._texts[who] = self._think()
            self._typed[who] = min(FIRST_LETTERS, len(self._texts[who])) - 1
        self._typed[who] += 1
        # A space says nothing yet: who types it goes on to the next word's first letter.
        if self._texts[who][self._typed[who] - 1] == " ":
            self._typed[who] += 1
        return self._texts[who][: self._typed[who]], self._typed[who] >= len(self._texts[who])
