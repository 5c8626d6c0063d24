"""What a release has in each chapter: a materialised view, refreshed beside its readers.

Counting is a walk over every row of every release, seconds over a long history; the view has a row for each chapter
of each release. It is refreshed when a release has been stored and before it is made current, so that the current
release is always in it. `CONCURRENTLY`: who reads meanwhile gets what was there before.
"""

from dataclasses import dataclass

from app.db.connection import Connection

_REFRESH = "REFRESH MATERIALIZED VIEW CONCURRENTLY icd10_chapter_statistics"

_UNCOUNTED = """
SELECT name FROM icd10_releases WHERE NOT EXISTS (
    SELECT FROM icd10_chapter_statistics AS counted WHERE counted.release = icd10_releases.name) LIMIT 1
"""

_CHAPTERS = """
SELECT counted.release, counted.chapter, chapters.title, counted.codes, counted.billable, counted.categories,
       counted.subcategories, counted.extensions
FROM icd10_chapter_statistics AS counted
JOIN icd10_groups AS chapters
    ON chapters.release = counted.release AND chapters.kind = 'chapter' AND chapters.name = counted.chapter::text
WHERE counted.release = (SELECT name FROM icd10_releases WHERE active)
ORDER BY counted.chapter
"""


@dataclass(frozen=True, slots=True)
class ChapterCounts:
    """The codes of one chapter of a release; `codes` is the sum over the three kinds."""

    release: str
    chapter: int
    title: str
    codes: int
    billable: int
    categories: int
    subcategories: int
    extensions: int


async def refresh(connection: Connection) -> bool:
    """Count again if a release is not counted yet; return whether it was done.

    The contents of a release never change under its name. The connection is in autocommit, and the caller is
    `schema.locked`: of two refreshes, the second would wait for the first.
    """
    if await (await connection.execute(_UNCOUNTED)).fetchone() is None:
        return False
    await connection.execute(_REFRESH)
    return True


async def by_chapter(connection: Connection) -> tuple[ChapterCounts, ...]:
    """Return the chapters of the current release, in order; empty if there is none."""
    rows = await (await connection.execute(_CHAPTERS)).fetchall()
    return tuple(ChapterCounts(*row) for row in rows)
