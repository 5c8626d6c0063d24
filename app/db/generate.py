"""A long history made of the one real release: for measuring what ten million rows cost.

Each generated release has the contents of the current one under a name of its own. No term and no code is invented,
so what is measured is what a real history would cost. The rows are not active and so are in no index but the primary
key. Memory is bounded by one release, about 35 MiB as it is sent.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.db.connection import Connection
from app.errors import ReleaseError

_MARK = "-generated-"
_BLOCK_BYTES = 1 << 18

_COPY_OUT = """
COPY (SELECT code, title, synonyms, kind, chapter, block, parent, children, billable, notes, false
      FROM icd10_codes WHERE active ORDER BY length(code), code) TO STDOUT
"""
_COPY_IN = """
COPY icd10_codes (release, code, title, synonyms, kind, chapter, block, parent, children, billable, notes, active)
FROM STDIN
"""

_SOURCE = "SELECT name, title, digest, codes FROM icd10_releases WHERE active"

_ROWS = "SELECT coalesce(sum(codes), 0) FROM icd10_releases"

_LAST = "SELECT name FROM icd10_releases WHERE strpos(name, %s) > 0 ORDER BY name DESC LIMIT 1"

_RELEASE = "INSERT INTO icd10_releases (name, title, digest, codes, active) VALUES (%s, %s, %s, %s, false)"

_GROUPS = """
INSERT INTO icd10_groups (release, kind, name, title)
SELECT %s, kind, name, title FROM icd10_groups WHERE release = %s
"""


@dataclass(frozen=True, slots=True)
class Generated:
    """One release that was stored, and the rows that the whole history has with it."""

    name: str
    codes: int
    rows: int


async def generate(connection: Connection, *, rows: int) -> AsyncIterator[Generated]:
    """Store releases until the history has `rows` rows at least, yielding each once it is committed.

    One transaction each, so that what is cut off leaves whole releases, and a second run goes on from them; the caller
    is `schema.locked`. Raises `ReleaseError` if there is no release to begin with.
    """
    source = await (await connection.execute(_SOURCE)).fetchone()
    if source is None:
        raise ReleaseError("no release is current: load one first, the history is made of it")
    name, title, digest, codes = source
    base = name.split(_MARK)[0]
    row = await (await connection.execute(_ROWS)).fetchone()
    stored = int(row[0]) if row is not None else 0
    if stored >= rows:
        return
    last = await (await connection.execute(_LAST, (base + _MARK,))).fetchone()
    number = int(re.sub(r".*-", "", last[0])) if last else 0
    lines = await _lines(connection)
    if len(lines) != codes:
        raise ReleaseError(f"release {name}: {len(lines)} codes are active, must be {codes}: load it again")
    while stored < rows:
        number += 1
        made = f"{base}{_MARK}{number:05}"
        async with connection.transaction():
            await connection.execute(_RELEASE, (made, f"{title} (generated history, {number})", digest, codes))
            await connection.execute(_GROUPS, (made, name))
            await _copy(connection, made, lines)
        stored += codes
        yield Generated(name=made, codes=codes, rows=stored)


async def _lines(connection: Connection) -> list[bytes]:
    """Return the rows of the current release in COPY's text format, without the release's name before them."""
    async with connection.cursor().copy(_COPY_OUT) as copy:
        return [bytes(line) async for line in copy]


async def _copy(connection: Connection, release: str, lines: list[bytes]) -> None:
    beginning = release.encode() + b"\t"
    async with connection.cursor().copy(_COPY_IN) as copy:
        block = bytearray()
        for line in lines:
            block += beginning
            block += line
            if len(block) >= _BLOCK_BYTES:
                await copy.write(bytes(block))
                block.clear()
        await copy.write(bytes(block))
