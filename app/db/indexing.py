"""The indexes that serve requests: declared as data, built beside the traffic, resumed after a crash.

Invariant: while an index is built, no statement of another session waits for the builder for longer than
`_LOCK_SECONDS` and the moment that a change of the catalogue takes. `CREATE INDEX CONCURRENTLY` blocks neither reads
nor writes, but Postgres refuses it on a partitioned table. So the parent's index is made `ON ONLY` the parent, without
rows; each partition's own is built concurrently; then it is attached. The first and the last step need a lock that
others queue behind: they wait for it for `_LOCK_SECONDS` at most, step back, and try again.

Nothing is remembered outside the catalogue: what is missing or invalid there is built, so that a builder that was
killed anywhere is resumed by the next one. Each index is partial on active rows, so that the history of releases costs
a search nothing; the history itself is read by the primary key, (release, code). The indexes of the vocabulary,
`icd10_words`, the trigram index among them, are not here: `app.db.schema` makes them with the table, in the transaction
before whose commit nobody sees it, so that there is no write which a plain `CREATE INDEX` could block.
"""

import asyncio
import logging
from dataclasses import dataclass

from psycopg import sql
from psycopg.errors import LockNotAvailable

from app.db.connection import Connection
from app.deadline import Deadline
from app.errors import IndexingError

_LOG = logging.getLogger("app.db.indexing")

_LOCK_SECONDS = 0.04
"""How long a change of the catalogue waits for its lock, and others may wait behind it."""

_PAUSE_SECONDS = 0.25
"""Between two tries, so that who waited for the builder is the exception."""

_PATIENCE_SECONDS = 300.0
"""How long the tries go on: longer than any request, as long as a dump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One index of `table`, partitioned or not; its name begins with the table's.

    An index that changes gets a new name: the name is how one that is there is known. `serves` says what for.
    """

    name: str
    table: str
    method: str
    keys: str
    where: str | None
    serves: str
    unique: bool = False

    def name_on(self, table: str) -> str:
        """Return what the index is called on a partition."""
        return table + self.name.removeprefix(self.table)

    def create(self, name: str, on: str, *, how: str) -> sql.Composed:
        """Return the statement that makes it as `name`; `how` is `ON ONLY`, `CONCURRENTLY` or empty."""
        return sql.SQL("CREATE {unique} INDEX {concurrently} {name} ON {only} {on} USING {definition}").format(
            unique=sql.SQL("UNIQUE" if self.unique else ""),
            concurrently=sql.SQL("CONCURRENTLY" if how == "CONCURRENTLY" else ""),
            name=sql.Identifier(name),
            only=sql.SQL("ONLY" if how == "ON ONLY" else ""),
            on=sql.Identifier(on),
            definition=sql.SQL(f"{self.method} ({self.keys})" + (f" WHERE {self.where}" if self.where else "")),
        )


INDEXES = (
    Index(
        name="icd10_codes_active",
        table="icd10_codes",
        method="btree",
        keys="code",
        where="active",
        unique=True,
        serves="look-up of a code, and of codes by their beginning",
    ),
    Index(
        name="icd10_codes_search",
        table="icd10_codes",
        method="gin",
        keys="search",
        where="active",
        serves="search by words",
    ),
    Index(
        name="icd10_codes_search_categories",
        table="icd10_codes",
        method="gin",
        keys="search",
        where="active AND kind = 'category'",
        serves="search by words: the general codes before the special ones",
    ),
    Index(
        name="icd10_codes_search_not_billable",
        table="icd10_codes",
        method="gin",
        keys="search",
        where="active AND NOT billable",
        serves="search by words for codes that are not billable, of which most words have few among many hits",
    ),
)

_STATE = """
SELECT pg_class.relname, pg_index.indisvalid, indexed.relname, parent.relname
FROM pg_index
JOIN pg_class ON pg_class.oid = pg_index.indexrelid
JOIN pg_class AS indexed ON indexed.oid = pg_index.indrelid
LEFT JOIN pg_inherits ON pg_inherits.inhrelid = pg_index.indexrelid
LEFT JOIN pg_class AS parent ON parent.oid = pg_inherits.inhparent
WHERE pg_class.relnamespace = 'public'::regnamespace
"""

_PARTITIONS = """
SELECT child.relname FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = to_regclass(%s) ORDER BY child.relname
"""

_IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(%s)"


@dataclass(frozen=True, slots=True)
class _State:
    """What the catalogue says: which indexes are valid, and which tables have one attached to a parent index."""

    valid: dict[str, bool]
    attached: frozenset[tuple[str, str]]

    @classmethod
    async def read(cls, connection: Connection) -> "_State":
        rows = await (await connection.execute(_STATE)).fetchall()
        return cls(
            valid={name: valid for name, valid, _, _ in rows},
            attached=frozenset((parent, table) for _, _, table, parent in rows if parent is not None),
        )


async def missing(connection: Connection, indexes: tuple[Index, ...] = INDEXES) -> tuple[Index, ...]:
    """Return those that are not there, or not whole."""
    state = await _State.read(connection)
    return tuple(index for index in indexes if not state.valid.get(index.name))


async def build(connection: Connection, indexes: tuple[Index, ...] = INDEXES) -> tuple[str, ...]:
    """Build what is missing and return the names; at once if nothing is.

    The connection is in autocommit and the only one that builds (`schema.locked`). Raises `IndexingError` if a lock
    could not be had within `_PATIENCE_SECONDS`, and `psycopg.Error`; what was built by then stays, and is not built
    again.
    """
    wanted = await missing(connection, indexes)
    for index in wanted:
        row = await (await connection.execute(_IS_PARTITIONED, (index.table,))).fetchone()
        if row is None:
            raise IndexingError(f"index {index.name}: there is no table {index.table}: run the migrations first")
        if row[0]:
            await _build_partitioned(connection, index)
        else:
            await _build_one(connection, index, index.name, index.table)
    return tuple(index.name for index in wanted)


async def _build_partitioned(connection: Connection, index: Index) -> None:
    state = await _State.read(connection)
    if index.name not in state.valid:
        await _briefly(connection, index.create(index.name, index.table, how="ON ONLY"))
    partitions = await (await connection.execute(_PARTITIONS, (index.table,))).fetchall()
    for (table,) in partitions:
        if (index.name, table) in state.attached:
            continue
        name = index.name_on(table)
        await _build_one(connection, index, name, table)
        attach = sql.SQL("ALTER INDEX {} ATTACH PARTITION {}")
        await _briefly(connection, attach.format(sql.Identifier(index.name), sql.Identifier(name)))


async def _build_one(connection: Connection, index: Index, name: str, table: str) -> None:
    state = await _State.read(connection)
    if state.valid.get(name) is False:
        _LOG.info("an index that was cut off is built again", extra={"fields": {"index": name}})
        await connection.execute(sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(name)))
    if not state.valid.get(name):
        await connection.execute(index.create(name, table, how="CONCURRENTLY"))


async def _briefly(connection: Connection, statement: sql.Composed) -> None:
    """Change the catalogue under a lock that nobody waits behind for longer than `_LOCK_SECONDS`.

    The commit waits for no standby, because the lock is held until it returns. What a failover loses of it is missing
    in the catalogue, and is made again.
    """
    deadline = Deadline(seconds=_PATIENCE_SECONDS)
    while True:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{round(_LOCK_SECONDS * 1000)}ms'".encode())
                await connection.execute("SET LOCAL synchronous_commit = local")
                await connection.execute(statement)
        except LockNotAvailable as error:
            text = statement.as_string(None)
            if deadline.passed:
                raise IndexingError(
                    f"no lock within {_PATIENCE_SECONDS:g} s for: {text}: a transaction uses the table all the time; "
                    "find it in pg_stat_activity, end it, and run this again"
                ) from error
            _LOG.info("others use the table, once more", extra={"fields": {"statement": text}})
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return
