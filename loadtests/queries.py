"""From a term of the release to what a person types in search of it."""

import re
from random import Random

from loadtests.misspellings import misspelt

WORD = re.compile(r"[a-z]{3,}")
STOP_WORDS = frozenset({"and", "for", "from", "into", "not", "other", "the", "unspecified", "with", "without"})


def significant_words(description: str) -> list[str]:
    """Return the words of three letters and more, in lower case, without those that say nothing; never empty."""
    words: list[str] = WORD.findall(description.lower())
    return [word for word in words if word not in STOP_WORDS] or words or ["disease"]


def typed_query(description: str, random: Random, *, misspelt_percent: float = 0.0) -> str:
    """Return one or two neighbouring words of a description; in half of the queries the last one is not yet whole.

    A word that is being typed has at least three letters: below that the service matches codes only. So many of a
    hundred queries have one word misspelt, which is then typed whole.
    """
    words = significant_words(description)
    first = random.randrange(len(words))
    chosen = words[first : first + random.randint(1, 2)]
    if misspelt_percent and random.random() * 100 < misspelt_percent:
        place = random.randrange(len(chosen))
        chosen[place] = misspelt(chosen[place], random)
    elif random.random() < 0.5:
        last = chosen[-1]
        chosen[-1] = last[: random.randint(3, len(last))]
    return " ".join(chosen)


def settled_query(description: str) -> str:
    """Return the query that a term always has: its first two words."""
    return " ".join(significant_words(description)[:2])
