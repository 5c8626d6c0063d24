"""The releases in the database: stored beside each other, one of them current.

A release is stored in one transaction, with rows that are not active, which no request reads; it is checked there. It
is made current in another one, so that a reader sees the old release or the new one and never both. Neither takes a
lock that a reader or a bookmark waits for. A crash leaves what was there before the transaction that it cut off, and
the next run goes on from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from app.db import words
from app.db.connection import Connection
from app.db.epoch import announce_switch
from app.db.release import Release
from app.errors import ReleaseError

_LIST = """
SELECT name, title, codes, active, loaded_at FROM icd10_releases ORDER BY active DESC, loaded_at DESC, name
"""

_FIGURES = """
SELECT
    (SELECT count(*) FROM icd10_codes WHERE release = %(name)s),
    (SELECT count(*) FROM icd10_codes WHERE release = %(name)s AND billable),
    (SELECT count(*) FROM icd10_codes WHERE release = %(name)s AND search = ''),
    (SELECT count(*) FROM icd10_codes AS child WHERE release = %(name)s AND parent IS NOT NULL AND NOT EXISTS (
        SELECT FROM icd10_codes AS up WHERE up.release = child.release AND up.code = child.parent)),
    (SELECT count(*) FROM icd10_groups WHERE release = %(name)s AND kind = 'chapter'),
    (SELECT count(*) FROM icd10_groups WHERE release = %(name)s AND kind = 'block')
"""

_PENDING = """
SELECT gin_clean_pending_list(pg_index.indexrelid)
FROM pg_partition_tree('icd10_codes') AS part
JOIN pg_index ON pg_index.indrelid = part.relid
JOIN pg_class ON pg_class.oid = pg_index.indexrelid AND pg_class.relkind = 'i'
JOIN pg_am ON pg_am.oid = pg_class.relam AND pg_am.amname = 'gin'
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """A release that is in the database."""

    name: str
    title: str
    codes: int
    active: bool
    loaded_at: datetime


async def stored(connection: Connection) -> tuple[Stored, ...]:
    """Return every release, the current one first, then the latest."""
    return tuple(Stored(*row) for row in await (await connection.execute(_LIST)).fetchall())


async def store(connection: Connection, release: Release) -> bool:
    """Store `release` beside the others and check what is stored; return False if it was there already.

    In one transaction; the caller is `schema.locked`. The first release of all is stored with active rows: nobody
    reads them before a release is current, and the indexes are then made behind the rows, six times as fast. Raises
    `ReleaseError` if another content goes by the release's name, or if the database holds another than what was sent.
    """
    async with connection.transaction():
        cursor = await connection.execute("SELECT digest FROM icd10_releases WHERE name = %s", (release.name,))
        if (row := await cursor.fetchone()) is not None:
            if row[0] != release.digest:
                raise ReleaseError(
                    f"release {release.name} is already there with other contents (digest {row[0][:12]}..., this one "
                    f"is {release.digest[:12]}...): give the new contents a name of their own"
                )
            return False
        active = await (await connection.execute("SELECT FROM icd10_codes WHERE active LIMIT 1")).fetchone()
        await _copy(connection, release, active=active is None)
        await _check(connection, release)
        await connection.execute("ANALYZE icd10_codes, icd10_groups, icd10_releases")
    return True


async def switch(connection: Connection, name: str) -> bool:
    """Make the stored release `name` the current one; return False if it was and nothing was changed.

    In one transaction; the caller is `schema.locked`. It writes every row of two releases, which takes seconds and
    blocks nobody: readers see the old release until the commit. The indexes take the new rows in batches (their
    `fastupdate`), a third of the time and of the WAL of row by row, and are left with nothing pending. Raises
    `ReleaseError` if there is no such release.
    """
    async with connection.transaction():
        releases = await stored(connection)
        wanted = next((release for release in releases if release.name == name), None)
        if wanted is None:
            known = ", ".join(release.name for release in releases[:10]) or "none"
            raise ReleaseError(f"release {name!r} is not in the database, which has: {known}; load it first")
        if wanted.active:
            return False
        await connection.execute("UPDATE icd10_codes SET active = false WHERE active AND release <> %s", (name,))
        await connection.execute("UPDATE icd10_codes SET active = true WHERE release = %s AND NOT active", (name,))
        await connection.execute(_PENDING)
        await words.rebuild(connection)
        cursor = await connection.execute("SELECT count(*) FROM icd10_codes WHERE active")
        if (row := await cursor.fetchone()) != (wanted.codes,):
            raise ReleaseError(f"release {name}: {row and row[0]} codes would be current, must be {wanted.codes}")
        if any(release.active for release in releases):
            # Here and not before the rows are written: from now on every request asks the primary.
            await announce_switch(connection)
        await connection.execute("UPDATE icd10_releases SET active = false WHERE active")
        await connection.execute("UPDATE icd10_releases SET active = true WHERE name = %s", (name,))
    return True


async def _copy(connection: Connection, release: Release, *, active: bool) -> None:
    await connection.execute(
        "INSERT INTO icd10_releases (name, title, digest, codes, active) VALUES (%s, %s, %s, %s, false)",
        (release.name, release.title, release.digest, len(release.codes)),
    )
    cursor = connection.cursor()
    async with cursor.copy("COPY icd10_groups (release, kind, name, title) FROM STDIN") as copy:
        for group in release.groups:
            await copy.write_row((release.name, group.kind, group.name, group.title))
    async with cursor.copy(
        "COPY icd10_codes (release, code, title, synonyms, kind, chapter, block, parent, children, billable, notes, "
        "active) FROM STDIN"
    ) as copy:
        for values in _rows(release, active=active):
            await copy.write_row(values)


def _rows(release: Release, *, active: bool) -> Iterator[tuple[object, ...]]:
    # Short codes first: they are the general ones, and a search that must stop early meets rows in this order.
    for row in sorted(release.codes, key=lambda row: (len(row.code), row.code)):
        yield (
            release.name,
            row.code,
            row.title,
            "\n".join(row.synonyms),
            row.kind,
            row.chapter,
            row.block,
            row.parent,
            list(row.children),
            row.billable,
            msgspec.json.encode(row.notes).decode(),
            active,
        )


async def _check(connection: Connection, release: Release) -> None:
    """Hold what the database has against what was sent, before anybody can see it."""
    row = await (await connection.execute(_FIGURES, {"name": release.name})).fetchone()
    names = ("codes", "billable", "codes without a word", "codes without their parent", "chapters", "blocks")
    kinds = [group.kind for group in release.groups]
    wanted = (
        len(release.codes),
        sum(code.billable for code in release.codes),
        0,
        0,
        kinds.count("chapter"),
        kinds.count("block"),
    )
    problems = [
        f"{name}: {found}, must be {must}"
        for name, found, must in zip(names, row or (), wanted, strict=True)
        if found != must
    ]
    if problems:
        raise ReleaseError(f"release {release.name}, as it was stored: {'; '.join(problems)}")
