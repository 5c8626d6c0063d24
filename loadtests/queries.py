"""From a term of the release to what a person types in search of it."""

import re
from random import Random

WORD = re.compile(r"[a-z]{3,}")
STOP_WORDS = frozenset({"and", "for", "from", "into", "not", "other", "the", "unspecified", "with", "without"})


def significant_words(description: str) -> list[str]:
    """Return the words of three letters and more, in lower case, without those that say nothing; never empty."""
    words: list[str] = WORD.findall(description.lower())
    return [word for word in words if word not in STOP_WORDS] or words or ["disease"]


def typed_query(description: str, random: Random) -> str:
    """Return one or two neighbouring words of a description; in half of the queries the last one is not yet whole.

    A word that is being typed has at least three letters: below that the service matches codes only.
    """
    words = significant_words(description)
    first = random.randrange(len(words))
    chosen = words[first : first + random.randint(1, 2)]
    if random.random() < 0.5:
        last = chosen[-1]
        chosen[-1] = last[: random.randint(3, len(last))]
    return " ".join(chosen)
