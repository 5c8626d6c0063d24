"""What is searched for, made from the real titles by a seed: as people type."""

import random
import re
from collections.abc import Sequence

from hms.bench.servers import Postgres

_WORD = re.compile(r"[a-z]{5,}")

_LONG_ENOUGH = 6
"""Letters of a word whose slip is certain to be looked at."""

_SHORTEST_TYPED = 2

_CATEGORIES = b"SELECT code, title FROM icd10_codes WHERE active AND kind = 'category' ORDER BY code"


def sample(postgres: Postgres, count: int, *, seed: int) -> tuple[str, ...]:
    """Return `count` queries: of ten, four are two words of a title, three are one, two the beginning, one is a code.

    The titles are those of categories: were they of all codes, every second query would be of fractures, which are half
    of the release.
    """
    with postgres.connect() as connection:
        categories = connection.execute(_CATEGORIES).fetchall()
    choose = random.Random(seed)  # noqa: S311 - no secret
    queries: list[str] = []
    while len(queries) < count:
        code, title = map(str, choose.choice(categories))
        words = _WORD.findall(title.lower())
        if len(words) < 2:
            continue
        first, second = choose.sample(words, 2)
        match len(queries) % 10:
            case 0 | 1 | 2 | 3:
                queries.append(f"{first} {second}")
            case 4 | 5 | 6:
                queries.append(first)
            case 7 | 8:
                queries.append(first[:-2])
            case _:
                queries.append(code)
    return tuple(queries)


def pairs_and_slips(vocabulary: Sequence[str], count: int, *, seed: int) -> tuple[str, ...]:
    """Return `count` queries from words that are sorted, the commonest first: half two words, half one misspelt.

    The two words are of the commonest, where the hits that both have are the most. A slip swaps two letters.
    """
    choose = random.Random(seed)  # noqa: S311 - no secret
    common = vocabulary[: len(vocabulary) // 40]
    long = [word for word in vocabulary[: len(vocabulary) // 4] if len(word) >= _LONG_ENOUGH]
    queries: list[str] = []
    while len(queries) < count:
        if len(queries) % 2:
            queries.append(" ".join(choose.sample(common, 2)))
        else:
            word = choose.choice(long)
            place = choose.randrange(1, len(word) - 1)
            queries.append(word[:place] + word[place + 1] + word[place] + word[place + 2 :])
    return tuple(queries)


def longest(
    titles: Sequence[str], vocabulary: Sequence[str], count: int, *, most_words: int, seed: int
) -> tuple[str, ...]:
    """Return `count` queries of `most_words` words, of four kinds in turn, each as costly as its kind can be.

    The first words of a long title; the commonest of the vocabulary, which is sorted by that; their first two letters;
    words with two letters swapped.
    """
    choose = random.Random(seed)  # noqa: S311 - chooses by a seed, guards nothing
    common = vocabulary[: len(vocabulary) // 40]
    misspelt = [text for text in pairs_and_slips(vocabulary, 1000, seed=seed) if " " not in text]
    short = sorted({word[:_SHORTEST_TYPED] for word in common})
    long = [words for title in titles if len(words := _WORD.findall(title.lower())) >= most_words]
    queries: list[str] = []
    while len(queries) < count:
        match len(queries) % 4:
            case 0:
                words = choose.choice(long)[:most_words]
            case 1:
                words = choose.sample(common, most_words)
            case 2:
                words = choose.sample(short, most_words)
            case _:
                words = choose.sample(misspelt, most_words)
        queries.append(" ".join(words))
    return tuple(queries)


def beginnings(vocabulary: Sequence[str]) -> tuple[str, ...]:
    """Return every text of two letters and more that is typed on the way to a word, the shortest first."""
    texts = {word[:length] for word in vocabulary for length in range(_SHORTEST_TYPED, len(word) + 1)}
    return tuple(sorted(texts, key=lambda text: (len(text), text)))
