"""The look-up: everything that is stored of one code with its place in the classification, or a line each of many."""

from dataclasses import dataclass

from psycopg import sql

from app.codes import successor
from app.db.connection import Connection

# Ancestors and children begin like the code's category: that range leaves one partition, a list of codes leaves all.
_FAMILY = sql.SQL("code >= %(category)s AND code < %(behind)s")

# Every part of a code that is a code itself is an ancestor of it: `tests/app/test_search.py` says so of all of them.
_DETAIL = sql.SQL("""
SELECT c.release, c.code, c.title, c.kind, c.billable, c.chapter, chapters.title, c.block, blocks.title,
    c.parent, c.synonyms, c.notes::text,
    (SELECT coalesce(json_agg(json_build_object('code', code, 'title', title, 'notes', notes) ORDER BY length(code)),
        '[]')::text
     FROM icd10_codes WHERE {scope} AND code = ANY(%(ancestors)s) AND {family}),
    (SELECT coalesce(json_agg(json_build_object('code', code, 'title', title, 'billable', billable) ORDER BY code),
        '[]')::text
     FROM icd10_codes WHERE {scope} AND code = ANY(c.children) AND {family})
FROM icd10_codes AS c
JOIN icd10_groups AS chapters
    ON chapters.release = c.release AND chapters.kind = 'chapter' AND chapters.name = c.chapter::text
JOIN icd10_groups AS blocks ON blocks.release = c.release AND blocks.kind = 'block' AND blocks.name = c.block
WHERE {its_scope} AND c.code = %(code)s
""")

_MANY = sql.SQL("""
SELECT release, code, title, kind, billable, chapter, block, parent
FROM unnest(%(codes)s::text[]) AS asked (wanted) JOIN icd10_codes ON {scope} AND code = wanted
""")

_RELEASES = "SELECT name, active FROM icd10_releases ORDER BY loaded_at, name"

_CURRENT, _NAMED = sql.SQL("active"), sql.SQL("release = %(release)s")
_DETAILS = {
    True: _DETAIL.format(family=_FAMILY, scope=_CURRENT, its_scope=sql.SQL("c.active")).as_bytes(),
    False: _DETAIL.format(family=_FAMILY, scope=_NAMED, its_scope=sql.SQL("c.release = %(release)s")).as_bytes(),
}
_LINES = {True: _MANY.format(scope=_CURRENT).as_bytes(), False: _MANY.format(scope=_NAMED).as_bytes()}
"""By whether the current release is asked."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code with all that is known of it.

    `synonyms` are lines, `notes` is JSON of `app.db.release.Notes`. `ancestors` and `children` are JSON: lists of
    objects, from the category down, and by code.
    """

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
    synonyms: str
    notes: str
    ancestors: str
    children: str


@dataclass(frozen=True, slots=True)
class Line:
    """The least that tells one code from another."""

    release: str
    code: str
    title: str
    kind: str
    billable: bool
    chapter: int
    block: str
    parent: str | None


async def find(connection: Connection, code: str, release: str | None = None) -> Code | None:
    """Return the canonical `code` of a release, None being the current one; None if the release does not have it."""
    parameters = {
        "code": code,
        "release": release,
        "ancestors": [code[:length] for length in range(3, len(code)) if code[length - 1] != "."],
        "category": code[:3],
        "behind": successor(code[:3]),
    }
    cursor = await connection.execute(_DETAILS[release is None], parameters)
    row = await cursor.fetchone()
    return None if row is None else Code(*row)


async def find_many(connection: Connection, codes: list[str], release: str | None = None) -> dict[str, Line]:
    """Return those of the canonical `codes` that a release has, None being the current one."""
    cursor = await connection.execute(_LINES[release is None], {"codes": codes, "release": release})
    return {row[1]: Line(*row) for row in await cursor.fetchall()}


async def releases(connection: Connection) -> dict[str, bool]:
    """Name every loaded release, the first loaded first, and say which one is current."""
    return dict(await (await connection.execute(_RELEASES)).fetchall())
