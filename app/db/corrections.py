"""What was probably meant: for words that are in no title, those of the vocabulary that are spelt like them.

A word is a candidate if it shares trigrams with the misspelt one, and is judged by its distance: how many letters must
be added, dropped, changed or swapped with a neighbour (optimal string alignment).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

from psycopg.rows import TupleRow
from rapidfuzz.distance import OSA

from app.codes import successor
from app.db.connection import Connection
from app.db.query import Query

MOST_TRIED = 6
"""Corrected queries that are searched for at most until one finds something."""

_WORDS_TRIED = 12
"""In all of them together: each word that is searched for costs, and a long query has fewer tries."""

_MOST_CORRECTED = 8
"""Words of a query that are looked at; one that has more is no slip of the finger."""

_SHORTEST_CORRECTED = 4
"""Letters; of a shorter word, too many others are one letter away."""

_CANDIDATES = 30
_KEPT = 4

# `%` by the trigram index; what may have no correction at all is not looked for.
_SIMILAR = """
SELECT asked.place, known.begun, near.word, near.codes
FROM unnest(%(places)s::int[], %(words)s::text[], %(behind)s::text[]) AS asked (place, word, behind)
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM icd10_words WHERE word = asked.word) AS whole,
        EXISTS (SELECT FROM icd10_words WHERE word >= asked.word AND word < asked.behind)
        OR EXISTS (
            SELECT FROM icd10_words WHERE stem = coalesce((ts_lexize('english_stem', asked.word))[1], asked.word)
        ) AS begun
    OFFSET 0
) AS known
LEFT JOIN LATERAL (
    SELECT word, codes FROM icd10_words WHERE word %% asked.word
    ORDER BY similarity(word, asked.word) DESC, codes DESC, word LIMIT %(candidates)s
) AS near ON true
WHERE NOT known.whole AND NOT (known.begun AND %(found)s)
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word of the vocabulary in place of one of the query; `codes` have it."""

    word: str
    distance: int
    codes: int

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort by this: the nearest first, of those the commonest."""
        return self.distance, -self.codes, self.word


async def corrections(connection: Connection, query: Query, *, found: bool) -> list[Query]:
    """Return what the user may have meant by `query`, the likeliest first.

    A word that no word of the vocabulary begins with is corrected. One that is only the beginning of a word may stay
    as it is, or is corrected where the query has `found` nothing: `hart failure`, although there is a Hartnup disease.
    """
    asked = {
        place: word
        for place, word in enumerate(query.words)
        if len(word) >= _SHORTEST_CORRECTED and word.isascii() and word.isalpha()
    }
    if not asked or len(asked) > _MOST_CORRECTED:
        return []
    cursor = await connection.execute(
        _SIMILAR,
        {
            "places": list(asked),
            "words": list(asked.values()),
            "behind": [successor(word) for word in asked.values()],
            "candidates": _CANDIDATES,
            "found": found,
        },
    )
    rows = await cursor.fetchall()
    choices = _choices(query, [row for row in rows if not row[1]])
    begun = _choices(query, [row for row in rows if row[1]])
    choices |= {place: [Candidate(query.words[place], 0, 0), *kept] for place, kept in begun.items()}
    likely = (corrected for corrected in _combined(query, choices) if corrected.words != query.words)
    return list(islice(likely, min(MOST_TRIED, _WORDS_TRIED // len(query.words))))


def distance(word: str, other: str, *, begun: bool) -> int:
    """Return how many letters set `word` apart from `other`, or, if it is only `begun`, from the beginning of it."""
    whole = OSA.distance(word, other)
    if not begun or len(other) <= len(word):
        return int(whole)
    # One letter more than whole words: of two, the one that is written out is meant.
    return int(min(whole, 1 + min(OSA.distance(word, other[: len(word) + more]) for more in (-1, 0, 1))))


def _most_distance(word: str) -> int:
    return 1 if len(word) <= 4 else 2 if len(word) <= 8 else 3


def _choices(query: Query, rows: list[TupleRow]) -> dict[int, list[Candidate]]:
    """Return the best candidates by place; a place without a candidate has an empty list."""
    choices: dict[int, list[Candidate]] = {}
    for place, _, near, codes in rows:
        kept = choices.setdefault(place, [])
        word = query.words[place]
        if near is None or near == word:
            continue
        apart = distance(word, near, begun=place == len(query.words) - 1)
        if apart <= _most_distance(word):
            kept.append(Candidate(near, apart, codes))
    return {place: sorted(kept, key=lambda each: each.order)[:_KEPT] for place, kept in choices.items()}


def _combined(query: Query, choices: dict[int, list[Candidate]]) -> Iterator[Query]:
    """Yield the query with each combination of candidates, the nearest first: all misspelt words are replaced."""
    places = list(choices)
    combinations = sorted(
        product(*choices.values()),
        key=lambda chosen: (sum(each.distance for each in chosen), -min((each.codes for each in chosen), default=0)),
    )
    for chosen in combinations:
        yield query.with_words({place: each.word for place, each in zip(places, chosen, strict=True)})
