"""The statements of a search: by code, and by words in two ways.

A filter is a parameter wherever no index depends on it, also where it lets everything pass. So there are few
statements, each connection has them planned before long, and planning, which costs more than a search, is over.

Up to `MOST_RANKED` hits by words are ranked, all of them. Beyond that ranking means little and costs much (20,000
codes say `fracture`): then the categories are ranked, 1,918 at most, and the other codes follow in the order of the
codes, a page at a time.

A search in the current release goes by the indexes of active rows. One in an old release reads the rows of that
release by their key: 98,186 rows at most, whatever is searched for. An index of each old release would be as large as
the current one's, for what is asked rarely and can be kept by every cache for good.
"""

from dataclasses import dataclass
from functools import cache

from psycopg import sql
from psycopg.rows import TupleRow

from app.codes import successor
from app.db.connection import Connection
from app.db.partitioning import CHAPTERS, PARTITIONS, Partition
from app.db.query import Filters, Query

MOST_RANKED = 1000

_WALKED = 600
"""Codes that are read in order before an index is asked where the hits are: enough for a page of a very common word."""

_BY_CODE = sql.SQL("""
SELECT code, title, billable, chapter, release FROM {table}
WHERE {scope} AND {narrowed} AND code >= %(prefix)s AND code < %(behind)s
    AND (length(code), code) > (%(length)s, %(after)s)
ORDER BY length(code), code LIMIT %(limit)s
""")

# Each word by its stem: its beginning is also that of the word as it is written, unless the stem ends in another letter
# (`retinopathi`, of a word that is written with y); then by both. A stop word asks nothing. One value for the whole
# statement, so that one plan serves every query: planning over 19 partitions costs four times the search. `words` is
# what a hit must have; the others say how well it has them: whole, not only begun; in the title, not in a synonym.
_ASKED = sql.SQL("""
    SELECT string_agg(format('(%%s)', each.words), ' & ')::tsquery AS words,
        string_agg(format('(%%s)', each.titled), ' & ')::tsquery AS titled,
        string_agg(format('(%%s)', each.whole), ' & ')::tsquery AS whole,
        string_agg(format('(%%s)', each.whole_titled), ' & ')::tsquery AS whole_titled
    FROM unnest(%(words)s::text[], %(ends)s::text[], %(titled)s::text[]) AS asked (word, ends, titled), LATERAL (
        SELECT starts_with(word, (ts_lexize('english_stem', word))[1]) AS is_stem
    ) AS stem, LATERAL (
        SELECT to_tsquery('english', word || ends)
                || CASE WHEN is_stem THEN '' ELSE to_tsquery('icd10_as_written', word || ends) END,
            to_tsquery('english', word || titled)
                || CASE WHEN is_stem THEN '' ELSE to_tsquery('icd10_as_written', word || titled) END,
            to_tsquery('english', word),
            to_tsquery('english', word || ':A')
    ) AS each (words, titled, whole, whole_titled)
    WHERE numnode(each.words) > 0
""")

_BEST_FIRST = sql.SQL("""
    CASE WHEN search @@ (SELECT whole_titled FROM asked) THEN 1 WHEN search @@ (SELECT titled FROM asked) THEN 2
        WHEN search @@ (SELECT whole FROM asked) THEN 3 ELSE 4 END,
    kind <> 'category', length(title), length(code), code
""")

# Of one word alone the vocabulary tells that too many codes have it, without a look at them.
_RANKED = sql.SQL("""
WITH asked AS MATERIALIZED ({asked}),
candidates AS MATERIALIZED (
    SELECT code, title, billable, chapter, kind, search FROM {table}
    WHERE {scope} AND {narrowed} AND NOT {broad} AND search @@ (SELECT words FROM asked) LIMIT {most} + 1
)
SELECT counted.hits, {release} AS release, page.* FROM (
    SELECT CASE WHEN {broad} THEN {most} + 1 ELSE count(*) END AS hits FROM candidates
) AS counted
LEFT JOIN LATERAL (
    SELECT code, title, billable, chapter, row_number() OVER (ORDER BY {best_first}) AS place
    FROM candidates WHERE counted.hits <= {most} ORDER BY place OFFSET %(offset)s LIMIT %(limit)s
) AS page ON true ORDER BY page.place
""")

_BROAD = sql.SQL("EXISTS (SELECT FROM icd10_words WHERE word = %(broad)s AND codes > {most})").format(
    most=sql.Literal(MOST_RANKED)
)

# As arrays and ranges, of which the planner assumes that most rows pass: by equality it would assume that few do.
_NARROWED = sql.SQL("""billable = ANY (%(billable)s::bool[])
    AND NOT (code >= %(beyond)s AND code < %(behind_beyond)s) AND code <> ALL (%(without)s::text[])""")

_CATEGORIES = sql.SQL("""
WITH asked AS MATERIALIZED ({asked})
SELECT code, title, billable, chapter, release FROM {table}
WHERE {scope} AND {narrowed} AND kind = 'category' AND search @@ (SELECT words FROM asked)
ORDER BY {best_first} OFFSET %(offset)s LIMIT %(limit)s
""")

# Reads a bounded number of codes in their order, and says behind which one it stopped.
_WALK = sql.SQL("""
WITH asked AS MATERIALIZED ({asked}),
walked AS MATERIALIZED (
    SELECT code, title, billable, chapter, release, search, kind FROM {table}
    WHERE {scope} AND {narrowed} AND code > %(after)s ORDER BY code LIMIT {most}
)
SELECT code, title, billable, chapter, release FROM walked
WHERE kind <> 'category' AND search @@ (SELECT words FROM asked) ORDER BY code LIMIT %(limit)s
""")

# Partition after partition, as they follow in the order of codes, until there are enough: an index for words knows no
# order, so the hits of one partition are sorted at a time. Each is asked by its own name, and only if `after` lies in
# it or before it: by a range of codes, the planner would read the range and not the index.
_OTHERS = sql.SQL("""
WITH asked AS MATERIALIZED ({asked})
SELECT * FROM ({partitions}) AS hits LIMIT %(limit)s
""")
_OTHERS_OF_PARTITION = sql.SQL("""
    (SELECT * FROM (
        SELECT code, title, billable, chapter, release FROM {table}
        WHERE {scope} AND {narrowed} AND %(after)s < {behind} AND code > %(after)s
            AND kind <> 'category' AND search @@ (SELECT words FROM asked) OFFSET 0
    ) AS found ORDER BY code LIMIT %(limit)s)
""")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the text of a statement depends on. Each text is put together once and kept."""

    chapter: int | None
    current: bool
    headings: bool
    """Whether only what is not billable is asked for: today's have an index of their own."""

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Return the partitions that are asked."""
        return PARTITIONS if self.chapter is None else (CHAPTERS[self.chapter],)

    @property
    def table(self) -> sql.Identifier:
        """Return the table that is asked.

        A partition by its own name, not by a range of codes, which would tempt the planner to read the range and not
        the index.
        """
        return sql.Identifier("icd10_codes" if self.chapter is None else self.partitions[0].table)

    @property
    def scope(self) -> sql.Composed:
        """Return what chooses the index."""
        release = sql.SQL("active" if self.current else "release = %(release)s")
        chapter = sql.SQL("" if self.chapter is None else " AND chapter = %(chapter)s")
        return release + chapter + sql.SQL(" AND NOT billable" if self.headings else "")

    @property
    def broad(self) -> sql.Composable:
        """Return whether it is known that more codes are hit than are ranked; only of what nothing narrows."""
        everything = self.chapter is None and self.current and not self.headings
        return _BROAD if everything else sql.SQL("false")


@cache
def _by_code(shape: _Shape) -> bytes:
    return _BY_CODE.format(table=shape.table, scope=shape.scope, narrowed=_NARROWED).as_bytes()


@cache
def _ranked(shape: _Shape) -> bytes:
    release = "(SELECT name FROM icd10_releases WHERE active)" if shape.current else "%(release)s::text"
    return _RANKED.format(
        asked=_ASKED,
        table=shape.table,
        scope=shape.scope,
        narrowed=_NARROWED,
        broad=shape.broad,
        release=sql.SQL(release),
        most=sql.Literal(MOST_RANKED),
        best_first=_BEST_FIRST,
    ).as_bytes()


@cache
def _categories(shape: _Shape) -> bytes:
    return _CATEGORIES.format(
        asked=_ASKED, table=shape.table, scope=shape.scope, narrowed=_NARROWED, best_first=_BEST_FIRST
    ).as_bytes()


@cache
def _walk(shape: _Shape) -> bytes:
    return _WALK.format(
        asked=_ASKED, table=shape.table, scope=shape.scope, narrowed=_NARROWED, most=sql.Literal(_WALKED)
    ).as_bytes()


@cache
def _others(shape: _Shape) -> bytes:
    partitions = sql.SQL(" UNION ALL ").join(
        _OTHERS_OF_PARTITION.format(
            table=sql.Identifier(partition.table),
            scope=shape.scope,
            narrowed=_NARROWED,
            behind=sql.Literal(partition.upper),
        )
        for partition in shape.partitions
    )
    return _OTHERS.format(asked=_ASKED, partitions=partitions).as_bytes()


class Matching:
    """Asks for the hits of one query under its filters; each row is code, title, billable, chapter, release.

    What is listed already is left out: codes that begin with `beyond`, and the codes `without`.
    """

    def __init__(
        self,
        connection: Connection,
        query: Query,
        filters: Filters,
        *,
        beyond: str | None = None,
        without: tuple[str, ...] = (),
    ) -> None:
        self._connection = connection
        self._shape = _Shape(
            chapter=filters.chapter, current=filters.release is None, headings=filters.billable is False
        )
        narrowed = filters.billable is not None or without
        self._parameters: dict[str, object] = {
            "words": list(query.words),
            "broad": query.words[0] if len(query.words) == 1 and not narrowed else None,
            "ends": [":*" if may_be_begun else "" for may_be_begun in query.begun],
            "titled": [":*A" if may_be_begun else ":A" for may_be_begun in query.begun],
            "release": filters.release,
            "chapter": filters.chapter,
            "billable": [True, False] if filters.billable is None else [filters.billable],
            "without": list(without),
            "beyond": beyond or "",  # no code lies between two empty texts
            "behind_beyond": successor(beyond) if beyond else "",
        }

    async def by_code(self, prefix: str, *, after: str, limit: int) -> list[TupleRow]:
        """Return the codes that begin with `prefix`, by length and code, behind the code `after`."""
        return await self._rows(
            _by_code(self._shape),
            prefix=prefix,
            behind=successor(prefix),
            length=len(after),
            after=after,
            limit=limit,
        )

    async def ranked(self, *, offset: int, limit: int) -> tuple[int, str | None, list[TupleRow]]:
        """Count the hits by words, up to one more than are ranked; name the release that was read; return the best.

        Where there are more, none are returned.
        """
        rows = await self._rows(_ranked(self._shape), offset=offset, limit=limit)
        hits, name = rows[0][:2]
        return hits, name, [(*row[2:6], name) for row in rows if row[2] is not None]

    async def categories(self, *, offset: int, limit: int) -> list[TupleRow]:
        """Return the categories among more hits than are ranked, the best first."""
        return await self._rows(_categories(self._shape), offset=offset, limit=limit)

    async def others(self, *, after: str, limit: int) -> list[TupleRow]:
        """Return the other codes among more hits than are ranked, by code, behind the code `after`."""
        found = await self._rows(_walk(self._shape), after=after, limit=limit)
        if len(found) == limit:
            return found
        return await self._rows(_others(self._shape), after=after, limit=limit)

    async def _rows(self, statement: bytes, **parameters: object) -> list[TupleRow]:
        cursor = await self._connection.execute(statement, {**self._parameters, **parameters})
        return await cursor.fetchall()
