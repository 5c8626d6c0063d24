"""The search: a list of hits in a fixed order, read in pages.

The list is: the code itself, then the codes that begin as it is written, by length and code; then what words find
(`app.db.matching` says in which order); then, if all that is fewer than `FEW` hits, what corrected words find. The
order depends on the release, the query and the filters and on nothing else, so pages of any size, one behind the
other, are the list without a gap and without a code twice.
"""

from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace as changed
from psycopg.rows import TupleRow

from app.db.connection import Connection
from app.db.corrections import corrections
from app.db.cursor import START, Position
from app.db.matching import MOST_RANKED, Matching
from app.db.query import EVERYTHING, Filters, Query
from app.errors import ReleaseChangedError

MOST_HITS = 100
"""Hits of a page at most."""

FEW = 3
"""Hits below which words are corrected."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One code that was found; `match` says by what: `code`, `prefix`, `words` or `corrected` words."""

    code: str
    title: str
    billable: bool
    chapter: int
    match: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some hits of a list. `next` is where the list goes on, None at its end; `corrected` is what was meant instead.

    `release` is the one that the hits are of; None if nothing was found and nothing was asked that would have told.
    """

    hits: tuple[Hit, ...]
    next: Position | None
    corrected: str | None
    release: str | None


async def search(
    connection: Connection,
    query: Query,
    filters: Filters = EVERYTHING,
    *,
    limit: int,
    start: Position = START,
    correct: bool = True,
) -> Page:
    """Return the page of up to `limit` hits that begins at `start`; the list has corrections if it is to `correct`.

    Raises `ReleaseChangedError` if another release was made current between two statements of one page.
    """
    reading = _Reading(connection, query, filters, position=start, wanted=limit + 1)
    await reading.run(correct=correct)
    return Page(
        hits=tuple(reading.hits[:limit]),
        next=reading.ends[limit - 1] if len(reading.hits) > limit else None,
        corrected=reading.position.corrected or None,
        release=reading.release,
    )


class _Reading:
    """The reading of one page: `position` goes through the steps until there are `wanted` hits, or no more.

    `ends[n]` is the position behind `hits[n]`.
    """

    def __init__(
        self, connection: Connection, query: Query, filters: Filters, *, position: Position, wanted: int
    ) -> None:
        self._connection = connection
        self._query = query
        self._filters = filters
        self._wanted = wanted
        self.position = position
        self.release: str | None = None
        self.hits: list[Hit] = []
        self.ends: list[Position] = []

    @property
    def _missing(self) -> int:
        return self._wanted - len(self.hits)

    async def run(self, *, correct: bool) -> None:
        """Read."""
        if self.position.step == "codes":
            await self._codes()
            if self._missing:
                self._go_to("ranked")
        if self._missing and self._query.words:
            await self._words()
        if correct and self._missing and self._may_be_corrected:
            await self._corrections()

    async def _codes(self) -> None:
        prefix = self._query.prefix
        if prefix is None:
            return
        matching = Matching(self._connection, self._query, self._filters)
        for row in await matching.by_code(prefix, after=self.position.after, limit=self._missing):
            end = changed(self.position, after=row[0], listed=self.position.listed + 1)
            self._take(row, "code" if row[0] == prefix else "prefix", end)

    async def _words(self) -> None:
        """Read on in the hits of the words, or, in that part of the list, of the corrected words."""
        corrected = self.position.corrected
        matching = Matching(
            self._connection,
            Query.parse(corrected) if corrected else self._query,
            self._filters,
            beyond=self._query.prefix,
            without=self.position.without if corrected else (),
        )
        if self.position.step == "ranked":
            hits, release, rows = await matching.ranked(offset=self.position.offset, limit=self._missing)
            self._check(release)
            self._take_counted(rows)
            if hits > MOST_RANKED:
                self._go_to("categories")
        if self.position.step == "categories" and self._missing:
            self._take_counted(await matching.categories(offset=self.position.offset, limit=self._missing))
            if self._missing:
                self._go_to("others")
        if self.position.step == "others" and self._missing:
            for row in await matching.others(after=self.position.after, limit=self._missing):
                self._take(row, self._match, changed(self.position, after=row[0]))

    async def _corrections(self) -> None:
        """Read the hits of the likeliest correction that has any which are not listed yet."""
        written = self.position
        for query in await corrections(self._connection, self._query, found=bool(self._listed)):
            before = len(self.hits)
            self.position = Position(step="ranked", corrected=query.text, without=written.without)
            await self._words()
            if len(self.hits) > before:
                return
        self.position = written

    @property
    def _listed(self) -> int:
        """Count the hits of the query as it is written, if they are as few as are ranked."""
        return self.position.listed + self.position.offset

    @property
    def _may_be_corrected(self) -> bool:
        """Say whether the list has ended with too few hits. The vocabulary is the current release's."""
        position = self.position
        return (
            self._filters.release is None
            and position.step == "ranked"
            and not position.corrected
            and self._listed < FEW
        )

    @property
    def _match(self) -> str:
        return "corrected" if self.position.corrected else "words"

    def _take_counted(self, rows: list[TupleRow]) -> None:
        for row in rows:
            first = self.position.without
            if not self.position.corrected and len(first) < FEW:
                first = (*first, row[0])
            self._take(row, self._match, changed(self.position, offset=self.position.offset + 1, without=first))

    def _take(self, row: TupleRow, match: str, end: Position) -> None:
        code, title, billable, chapter, release = row
        self._check(release)
        self.hits.append(Hit(code=code, title=title, billable=billable, chapter=chapter, match=match))
        self.ends.append(end)
        self.position = end

    def _go_to(self, step: Literal["ranked", "categories", "others"]) -> None:
        self.position = changed(self.position, step=step, offset=0, after="")

    def _check(self, release: str | None) -> None:
        if self.release is not None and release != self.release:
            raise ReleaseChangedError(f"release {release} was made current while {self.release} was read")
        self.release = release
