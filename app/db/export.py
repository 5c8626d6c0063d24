"""A whole release, and what differs between two: page by page, as lines of JSON that the database writes.

Pages are cut by code, and no cursor is held: rows of a release never change, so pages read at different times, even
from different members, are parts of one whole. No transaction stays open for as long as a slow client reads, and a
failover in the middle costs the latency of one page.
"""

from dataclasses import dataclass

from app.db.connection import Connection

PAGE_CODES = 500
"""About 250 KB: what one request holds in memory at most."""

_SIZE = "SELECT codes FROM icd10_releases WHERE name = %s"

_ROW = """json_build_object(
    'code', code, 'title', title, 'kind', kind, 'billable', billable, 'chapter', chapter, 'block', block,
    'parent', parent, 'children', children,
    'synonyms', CASE WHEN synonyms = '' THEN '[]'::json ELSE to_json(string_to_array(synonyms, E'\\n')) END,
    'notes', notes)"""

_COLUMNS = "code, title, kind, billable, chapter, block, parent, children, synonyms, notes"

_SIDE = f"SELECT {_COLUMNS} FROM icd10_codes WHERE release = %s AND code > %s ORDER BY code LIMIT {PAGE_CODES}"  # noqa: S608 - constants

_PAGE = f"""
SELECT CASE count(*) WHEN {PAGE_CODES} THEN max(code) END, count(*), string_agg({_ROW}::text, E'\n' ORDER BY code)
FROM ({_SIDE}) AS page
"""  # noqa: S608 - constants

_BEFORE = f"CASE WHEN old.code IS NOT NULL THEN (SELECT {_ROW} FROM (SELECT old.*) AS it) END"  # noqa: S608 - constants
_AFTER = f"CASE WHEN new.code IS NOT NULL THEN (SELECT {_ROW} FROM (SELECT new.*) AS it) END"  # noqa: S608 - constants

# Each side gives a page; they can be compared up to the last code of the one that ends first.
_DIFFERENCES = f"""
WITH old AS MATERIALIZED ({_SIDE}), new AS MATERIALIZED ({_SIDE}),
bound AS (
    SELECT least((SELECT CASE count(*) WHEN {PAGE_CODES} THEN max(code) END FROM old),
                 (SELECT CASE count(*) WHEN {PAGE_CODES} THEN max(code) END FROM new)) AS code
)
SELECT (SELECT code FROM bound), count(*), string_agg(line, E'\n' ORDER BY code) FROM (
    SELECT code, json_build_object(
        'code', code,
        'change', CASE WHEN old.code IS NULL THEN 'added' WHEN new.code IS NULL THEN 'removed' ELSE 'changed' END,
        'before', {_BEFORE}, 'after', {_AFTER})::text AS line
    FROM old FULL JOIN new USING (code)
    WHERE old.* IS DISTINCT FROM new.* AND (code <= (SELECT code FROM bound) OR (SELECT code FROM bound) IS NULL)
) AS page
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, of how many codes; the next page begins behind `last`, which is None if none follows."""

    last: str | None
    codes: int
    lines: bytes


async def size(connection: Connection, *, release: str) -> int | None:
    """Return how many codes a release has, or None if it is not loaded."""
    row = await (await connection.execute(_SIZE, (release,))).fetchone()
    return None if row is None else int(row[0])


async def page(connection: Connection, *, release: str, after: str) -> Page:
    """Return the first codes of a release behind `after`, a line each."""
    return await _read(connection, _PAGE, (release, after))


async def differences(connection: Connection, *, old: str, new: str, after: str) -> Page:
    """Compare the first codes of two releases behind `after`; return those that are not the same, a line each."""
    return await _read(connection, _DIFFERENCES, (old, after, new, after))


async def _read(connection: Connection, statement: str, values: tuple[object, ...]) -> Page:
    row = await (await connection.execute(statement.encode(), values)).fetchone()
    assert row is not None
    last, codes, lines = row
    return Page(last, codes, lines.encode() + b"\n" if lines else b"")
