"""The search: exact code, beginning of a code, then the beginnings of words over weighted titles and synonyms.

The order is by exactness, rank, length of the code, code; it does not depend on the limit, so a longer page begins with
the shorter one. Candidates are capped before they are ranked, because ranking the 20,000 codes that a word like
`fracture` hits takes ten times as long as finding them; the categories among them have a cap of their own, so that the
general codes are never lost behind thousands of special ones.
"""

import re
import unicodedata
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import TupleRow

from app.codes import code_prefix, successor
from app.db.connection import Connection
from app.errors import InvalidQueryError

LONGEST_QUERY = 200
"""Characters of a query at most; the longest title has 228."""

MOST_WORDS = 12
MOST_HITS = 100

_CATEGORY_CAP = 200
_CODE_CAP = 800

_RANK_BY_LENGTH = 2
"""`ts_rank` divided by the length of the text: without it, titles that say a word twice come before its own title."""

_WORD = re.compile(r"[^\W_]+")

_BY_CODE = (
    "SELECT release, code, title, billable, chapter FROM icd10_codes "
    "WHERE active AND code >= %s AND code < %s ORDER BY length(code), code LIMIT %s"
)

# The tsquery is a subquery, so that one plan serves every query: planning over 19 partitions costs four times the
# search.
_BY_WORDS = sql.SQL("""
WITH query AS MATERIALIZED (SELECT {words} AS words),
candidates AS (
    (SELECT release, code, title, billable, chapter, search FROM icd10_codes
     WHERE active AND kind = 'category' AND search @@ (SELECT words FROM query) LIMIT {categories})
    UNION ALL
    (SELECT release, code, title, billable, chapter, search FROM icd10_codes
     WHERE active AND kind <> 'category' AND search @@ (SELECT words FROM query) LIMIT {codes})
)
SELECT release, code, title, billable, chapter FROM candidates
ORDER BY ts_rank(search, (SELECT words FROM query), {normalisation}) DESC, length(code), code
LIMIT %s
""")

# As a stem or as it is written, and in both cases as the beginning of a word; a stop word is empty, and asks nothing.
_WORD_QUERY = sql.SQL("(to_tsquery('english', %s) || to_tsquery('icd10_as_written', %s))")


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for, in its one normal form.

    `prefix` is the beginning of codes that the text may be, `words` are what is looked for in titles; a search by words
    takes one that has three characters, because shorter ones begin almost every title.
    """

    text: str
    prefix: str | None
    words: tuple[str, ...]

    @classmethod
    def parse(cls, raw: str) -> "Query":
        """Read what a user typed. Raises `InvalidQueryError` that says what is wrong with it."""
        if len(raw) > LONGEST_QUERY:
            raise InvalidQueryError(f"has {len(raw)} characters, {LONGEST_QUERY} are allowed")
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in raw):
            raise InvalidQueryError("has control characters")
        text = " ".join(unicodedata.normalize("NFKC", raw).casefold().split())
        words = tuple(dict.fromkeys(_WORD.findall(text)))
        if len("".join(words)) < 2:
            raise InvalidQueryError("needs two letters or digits at least")
        if len(words) > MOST_WORDS:
            raise InvalidQueryError(f"has {len(words)} words, {MOST_WORDS} are allowed")
        return cls(text, code_prefix(text), words if max(map(len, words)) >= 3 else ())


@dataclass(frozen=True, slots=True)
class Hit:
    """One code that was found; `match` says by what: `code`, `prefix` or `words`."""

    release: str
    code: str
    title: str
    billable: bool
    chapter: int
    match: str


async def search(connection: Connection, query: Query, *, limit: int) -> tuple[Hit, ...]:
    """Return the first `limit` hits, the best first."""
    hits: list[Hit] = []
    if query.prefix is not None:
        cursor = await connection.execute(_BY_CODE, (query.prefix, successor(query.prefix), limit))
        rows = await cursor.fetchall()
        hits = [_hit(row, "code" if row[1] == query.prefix else "prefix") for row in rows]
    if len(hits) < limit and query.words:
        # `limit` rows suffice: those that are known already are among the hits, which are fewer than the limit.
        found = {hit.code for hit in hits}
        hits += [hit for hit in await _by_words(connection, query.words, limit=limit) if hit.code not in found]
    return tuple(hits[:limit])


async def _by_words(connection: Connection, words: tuple[str, ...], *, limit: int) -> list[Hit]:
    cursor = await connection.execute(
        _BY_WORDS.format(
            words=sql.SQL(" && ").join([_WORD_QUERY] * len(words)),
            categories=sql.Literal(_CATEGORY_CAP),
            codes=sql.Literal(_CODE_CAP),
            normalisation=sql.Literal(_RANK_BY_LENGTH),
        ),
        (*(f"{word}:*" for word in words for _ in range(2)), limit),
    )
    return [_hit(row, "words") for row in await cursor.fetchall()]


def _hit(row: TupleRow, match: str) -> Hit:
    release, code, title, billable, chapter = row
    return Hit(release=release, code=code, title=title, billable=billable, chapter=chapter, match=match)
