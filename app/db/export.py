"""A whole release, and what differs between two: page by page, as lines of JSON that the database writes.

Pages are cut by code, and no cursor is held: rows of a release never change, so pages read at different times, even
from different members, are parts of one whole. No transaction stays open for as long as a slow client reads, and a
failover in the middle costs the latency of one page.
"""

from dataclasses import dataclass

from app.db.connection import Connection
from app.db.partitioning import PARTITIONS, Partition

PAGE_CODES = 500
"""About 250 KB: what one request holds in memory at most."""

_SIZE = "SELECT codes FROM icd10_releases WHERE name = %s"

_ROW = """json_build_object(
    'code', code, 'title', title, 'kind', kind, 'billable', billable, 'chapter', chapter, 'block', block,
    'parent', parent, 'children', children,
    'synonyms', CASE WHEN synonyms = '' THEN '[]'::json ELSE to_json(string_to_array(synonyms, E'\\n')) END,
    'notes', notes)"""

_COLUMNS = "code, title, kind, billable, chapter, block, parent, children, synonyms, notes"

_PAGE = f"""
SELECT count(*), max(code), string_agg({_ROW}::text, E'\\n' ORDER BY code) FROM (
    SELECT {_COLUMNS} FROM icd10_codes WHERE release = %s AND code > %s ORDER BY code LIMIT %s
) AS page
"""  # noqa: S608 - constants of this module

_OLD_ROW = f"CASE WHEN old.code IS NOT NULL THEN (SELECT {_ROW} FROM (SELECT old.*) AS it) END"  # noqa: S608 - constants
_NEW_ROW = f"CASE WHEN new.code IS NOT NULL THEN (SELECT {_ROW} FROM (SELECT new.*) AS it) END"  # noqa: S608 - constants
_SIDE = f"SELECT {_COLUMNS} FROM icd10_codes WHERE release = %s AND code >= %s AND code > %s AND code < %s"  # noqa: S608 - constants of this module

_DIFFERENCES = f"""
SELECT count(*), max(code), string_agg(line, E'\\n' ORDER BY code) FROM (
    SELECT code, json_build_object(
        'code', code,
        'change', CASE WHEN old.code IS NULL THEN 'added' WHEN new.code IS NULL THEN 'removed' ELSE 'changed' END,
        'before', {_OLD_ROW}, 'after', {_NEW_ROW})::text AS line
    FROM ({_SIDE}) AS old FULL JOIN ({_SIDE}) AS new USING (code)
    WHERE old.* IS DISTINCT FROM new.*
    ORDER BY code LIMIT %s
) AS page
"""  # noqa: S608 - constants of this module


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines: of how many codes, and the last of them; without codes there are no lines, and none follow."""

    codes: int
    last: str
    lines: bytes


async def size(connection: Connection, *, release: str) -> int | None:
    """Return how many codes a release has, or None if it is not loaded."""
    row = await (await connection.execute(_SIZE, (release,))).fetchone()
    return None if row is None else int(row[0])


async def page(connection: Connection, *, release: str, after: str) -> Page:
    """Return the first codes of a release behind `after`, a line each."""
    return await _read(connection, _PAGE, (release, after, PAGE_CODES))


async def differences(connection: Connection, *, old: str, new: str, partition: Partition, after: str) -> Page:
    """Return the first codes of a partition behind `after` that are not the same in both releases, a line each."""
    bounds = (partition.lower, after, partition.upper)
    return await _read(connection, _DIFFERENCES, (old, *bounds, new, *bounds, PAGE_CODES))


def partitions() -> tuple[Partition, ...]:
    """Return the partitions in the order of their codes: differences are looked for in one at a time."""
    return PARTITIONS


async def _read(connection: Connection, statement: str, values: tuple[object, ...]) -> Page:
    row = await (await connection.execute(statement.encode(), values)).fetchone()
    assert row is not None
    codes, last, lines = row
    return Page(codes, last or "", lines.encode() + b"\n" if lines else b"")
