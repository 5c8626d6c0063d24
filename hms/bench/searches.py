"""What a search costs in Postgres alone.

Of every word there is, of codes, of what is typed, narrowed, misspelt, long, turned over, and in an old release.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

from app.db.connection import Connection, connect
from app.db.cursor import START, Position
from app.db.partitioning import CHAPTERS
from app.db.query import EVERYTHING, MOST_WORDS, Filters, Query
from app.db.search import MOST_HITS, search
from app.settings import from_environment
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.queries import beginnings, longest, pairs_and_slips
from hms.statistics import distribution, statistic_of

BOUND_MS = 10.0

_HITS = 20
_ROUND_TRIPS = 1000
_PAIRS_AND_SLIPS = 1000
_LONG = 500
_BROAD = 100
_TURNED = 5
_SEED = 20261123

_WORDS: LiteralString = "SELECT word FROM icd10_words ORDER BY codes DESC, word"
_CATEGORIES: LiteralString = "SELECT code FROM icd10_codes WHERE active AND kind = 'category' ORDER BY code"
_TITLES: LiteralString = "SELECT title FROM icd10_codes WHERE active ORDER BY length(title) DESC, code LIMIT 1000"


@dataclass(frozen=True, slots=True)
class _Search:
    """One search: what is asked, and whether it is corrected, which a text that is still being typed is not."""

    text: str
    filters: Filters = EVERYTHING
    correct: bool = True
    hits: int = _HITS


@dataclass(frozen=True, slots=True)
class _Family:
    """Searches of one kind, how they were chosen, and the pages that are read of each."""

    name: str
    searches: tuple[_Search, ...]
    how: str
    pages: int = 1


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Search for families of texts, one search after the other."""
    return asyncio.run(_measure(place, say, old_release=None))


def measure_old(place: Place, say: Say, release: str) -> tuple[Figure, ...]:
    """Search in `release`, which is stored and not the current one: without a bound, as no index has its words."""
    return asyncio.run(_measure(place, say, old_release=release))


async def _measure(place: Place, say: Say, *, old_release: str | None) -> tuple[Figure, ...]:
    settings = from_environment(place.environment).postgres
    async with await connect(
        settings.hosts[0], settings, application="hms-bench", statement_timeout_seconds=600
    ) as connection:
        words, codes = await _column(connection, _WORDS), await _column(connection, _CATEGORIES)
        titles = await _column(connection, _TITLES)
        families = tuple(
            _families(words, codes, titles) if old_release is None else _old_families(words, codes, old_release)
        )
        for family in families:
            for each in family.searches[:: max(1, len(family.searches) // 100)]:
                await _times_ms(connection, each, pages=family.pages)  # warms both sides
        raw = Raw(
            value=statistic_of(distribution([await _round_trip_ms(connection) for _ in range(_ROUND_TRIPS)]), "median"),
            what="median of `SELECT 1` there",
        )
        figures = []
        for family in families:
            times = [ms for each in family.searches for ms in await _times_ms(connection, each, pages=family.pages)]
            say(f"{family.name}: {len(times)} pages of hits")
            figures.append(
                figure_of(
                    times,
                    name=family.name,
                    statistic="p99",
                    unit="ms",
                    promised=("<", BOUND_MS) if old_release is None else None,
                    how=f"{family.how}; pages of {family.searches[0].hits} hits over one connection with nothing else "
                    "at work, from the first statement to the last row",
                    raw=raw,
                )
            )
    return tuple(figures)


async def _column(connection: Connection, query: LiteralString) -> list[str]:
    return [str(value) for (value,) in await (await connection.execute(query)).fetchall()]


def _families(words: list[str], codes: list[str], titles: list[str]) -> Iterator[_Family]:
    """Yield what is searched for, from the words of the release, the commonest first, its categories and titles."""
    broad = words[:_BROAD]
    typed = beginnings(words)
    others = pairs_and_slips(words, _PAIRS_AND_SLIPS, seed=_SEED)
    yield _Family(
        "search-in-postgres",
        tuple(_Search(word) for word in words),
        "every word of the vocabulary of the release is searched for once",
    )
    yield _Family(
        "search-of-broad-words",
        tuple(_Search(word) for word in broad),
        f"the {_BROAD} words that the most codes have, the first {_TURNED} pages of each",
        pages=_TURNED,
    )
    yield _Family(
        "search-with-filters",
        tuple(
            _Search(word, Filters(chapter=chapter, billable=billable))
            for word in broad
            for chapter in (None, *CHAPTERS)
            for billable in (None, True, False)
            if chapter is not None or billable is not None
        ),
        f"the {_BROAD} words that the most codes have, in each chapter and in all, billable, not billable and both",
    )
    yield _Family(
        "search-as-one-types",
        tuple(_Search(text, correct=False) for text in typed),
        f"every beginning of two letters and more of the words, {len(typed)} texts, as they are completed",
    )
    yield _Family(
        "search-of-pairs-and-slips",
        tuple(_Search(text) for text in others),
        f"{len(others)} queries: two of the commonest words; words with two letters swapped",
    )
    yield _Family(
        "search-by-code",
        tuple(_Search(code) for code in beginnings(codes)),
        "every category by its code, and the beginnings of two letters",
    )
    yield _Family(
        "search-of-long-texts",
        tuple(
            _Search(text, hits=MOST_HITS) for text in longest(titles, words, _LONG, most_words=MOST_WORDS, seed=_SEED)
        ),
        f"{_LONG} queries of {MOST_WORDS} words, the most that there may be: of the longest titles; the commonest; "
        "beginnings of two letters; misspelt ones",
    )


def _old_families(words: list[str], codes: list[str], release: str) -> Iterator[_Family]:
    asked = Filters(release=release)
    yield _Family(
        "search-in-an-old-release",
        tuple(_Search(word, asked) for word in words[: _BROAD * 10]),
        f"the {_BROAD * 10} words that the most codes have, in a release that is not the current one",
    )
    yield _Family(
        "search-by-code-in-an-old-release",
        tuple(_Search(code, asked) for code in beginnings(codes)),
        "every category by its code and the beginnings of two letters, in a release that is not the current one",
    )


async def _times_ms(connection: Connection, each: _Search, *, pages: int) -> list[float]:
    """Return what each page of a search takes, as far as there are pages."""
    query, start = Query.parse(each.text), START
    times: list[float] = []
    while len(times) < pages:
        began = time.monotonic()
        page = await search(connection, query, each.filters, limit=each.hits, start=start, correct=each.correct)
        times.append((time.monotonic() - began) * 1000)
        following: Position | None = page.next
        if following is None:
            break
        start = following
    return times


async def _round_trip_ms(connection: Connection) -> float:
    began = time.monotonic()
    await connection.execute("SELECT 1")
    return (time.monotonic() - began) * 1000
