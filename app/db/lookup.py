"""The look-up: everything that is stored of one code."""

from dataclasses import dataclass

from app.db.connection import Connection

_BY_KEY = """
SELECT c.release, c.code, c.title, c.kind, c.billable, c.chapter, chapters.title, c.block, blocks.title,
       c.parent, c.children, c.synonyms, c.notes::text
FROM icd10_codes AS c
JOIN icd10_groups AS chapters
    ON chapters.release = c.release AND chapters.kind = 'chapter' AND chapters.name = c.chapter::text
JOIN icd10_groups AS blocks ON blocks.release = c.release AND blocks.kind = 'block' AND blocks.name = c.block
WHERE c.active AND c.code = %s
"""


@dataclass(frozen=True, slots=True)
class Code:
    """One code of the current release. `synonyms` are lines, `notes` is JSON of `app.db.release.Notes`."""

    release: str
    code: str
    title: str
    kind: str
    billable: bool
    chapter: int
    chapter_title: str
    block: str
    block_title: str
    parent: str | None
    children: list[str]
    synonyms: str
    notes: str


async def find(connection: Connection, code: str) -> Code | None:
    """Return the canonical `code` of the current release, or None if there is none."""
    row = await (await connection.execute(_BY_KEY, (code,))).fetchone()
    return None if row is None else Code(*row)
