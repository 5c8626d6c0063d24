"""The tables, as numbered migrations; each is applied once, in order, inside the transaction of its caller.

`icd10_codes.search` holds each word twice: by its English stem, so that `retinopathies` finds `retinopathy`, and as
it is written, so that `diabeti`, the beginning of a word that is still being typed, finds `diabetic`, whose stem is
shorter. The title weighs A, synonyms B. A code is active if its release is the current one. The indexes that serve
requests are not here but in `app.db.indexing`, because a migration that makes one would block writes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import LiteralString

from psycopg.pq import TransactionStatus

from app.db import words
from app.db.connection import Connection
from app.db.partitioning import PARTITIONS

_LOCK = 7_264_310_501
"""The advisory lock of whoever changes tables or releases; the number means nothing but must stay what it is."""

_LOCK_PAUSE_SECONDS = 0.2

_TABLES = """
CREATE TEXT SEARCH DICTIONARY icd10_as_written (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION icd10_as_written (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION icd10_as_written
    ALTER MAPPING FOR asciihword, asciiword, hword, hword_asciipart, hword_numpart, hword_part, numhword, numword, word
    WITH icd10_as_written;

CREATE TABLE icd10_releases (
    name text PRIMARY KEY,
    title text NOT NULL,
    digest text NOT NULL,
    codes integer NOT NULL CHECK (codes > 0),
    active boolean NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX icd10_releases_active ON icd10_releases (active) WHERE active;

CREATE TABLE icd10_groups (
    release text NOT NULL REFERENCES icd10_releases,
    kind text NOT NULL CHECK (kind IN ('chapter', 'block')),
    name text NOT NULL,
    title text NOT NULL,
    PRIMARY KEY (release, kind, name)
);

CREATE TABLE icd10_codes (
    release text NOT NULL REFERENCES icd10_releases,
    code text COLLATE "C" NOT NULL CHECK (code ~ '^[A-Z][0-9A-Z]{2}(\\.[0-9A-Z]{1,4})?$'),
    title text NOT NULL,
    synonyms text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('category', 'subcategory', 'extension')),
    chapter smallint NOT NULL,
    block text NOT NULL,
    parent text COLLATE "C",
    children text[] COLLATE "C" NOT NULL,
    billable boolean NOT NULL,
    notes jsonb NOT NULL,
    active boolean NOT NULL,
    search tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('english', title) || to_tsvector('public.icd10_as_written', title), 'A')
        || setweight(to_tsvector('english', synonyms) || to_tsvector('public.icd10_as_written', synonyms), 'B')
    ) STORED,
    PRIMARY KEY (release, code)
) PARTITION BY RANGE (code);
"""

_BOOKMARKS = """
CREATE TABLE bookmarks (
    user_name text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_name, code)
);
"""

_SEARCH_LOGS = """
CREATE TABLE search_logs (
    searched_at timestamptz NOT NULL,
    instance bigint NOT NULL,
    number bigint NOT NULL,
    query text NOT NULL CHECK (length(query) <= 200),
    release text NOT NULL,
    hits integer NOT NULL CHECK (hits >= 0),
    duration_ms real NOT NULL CHECK (duration_ms >= 0),
    matched text NOT NULL,
    cached boolean NOT NULL,
    PRIMARY KEY (searched_at, instance, number)
) PARTITION BY RANGE (searched_at);
"""

_STATISTICS = """
CREATE MATERIALIZED VIEW icd10_chapter_statistics AS
SELECT release, chapter, count(*)::integer AS codes,
       (count(*) FILTER (WHERE billable))::integer AS billable,
       (count(*) FILTER (WHERE kind = 'category'))::integer AS categories,
       (count(*) FILTER (WHERE kind = 'subcategory'))::integer AS subcategories,
       (count(*) FILTER (WHERE kind = 'extension'))::integer AS extensions
FROM icd10_codes GROUP BY release, chapter;
CREATE UNIQUE INDEX icd10_chapter_statistics_key ON icd10_chapter_statistics (release, chapter);
"""


_API_KEYS = """
CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    name text NOT NULL,
    tier text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
"""


_FOLDED = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE FUNCTION icd10_folded(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN octet_length($1) = char_length($1) THEN $1
        ELSE regexp_replace(normalize($1, NFKD), '[\\u0300-\\u036f]', '', 'g') END;
ALTER TABLE icd10_codes DROP COLUMN search;
ALTER TABLE icd10_codes ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
    setweight(to_tsvector('english', icd10_folded(title))
        || to_tsvector('public.icd10_as_written', icd10_folded(title)), 'A')
    || setweight(to_tsvector('english', icd10_folded(synonyms))
        || to_tsvector('public.icd10_as_written', icd10_folded(synonyms)), 'B')
) STORED;
"""

# With its indexes, because it is empty until its first rows come in the same transaction.
_WORDS = """
CREATE TABLE icd10_words (
    word text COLLATE "C" PRIMARY KEY,
    stem text COLLATE "C" NOT NULL,
    codes integer NOT NULL
);
CREATE INDEX icd10_words_stem ON icd10_words (stem);
CREATE INDEX icd10_words_similar ON icd10_words USING gin (word gin_trgm_ops) WITH (fastupdate = off);
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered change of the tables."""

    version: int
    name: str
    sql: str


def _partitions() -> str:
    return "\n".join(
        f"CREATE TABLE {partition.table} PARTITION OF icd10_codes "
        f"FOR VALUES FROM ('{partition.lower}') TO ('{partition.upper}');"
        for partition in PARTITIONS
    )


MIGRATIONS = (
    Migration(
        1,
        "codes in partitions, with the history of releases",
        _TABLES + _partitions(),
    ),
    Migration(2, "bookmarks", _BOOKMARKS),
    Migration(10, "the search log, in monthly partitions", _SEARCH_LOGS),
    Migration(11, "chapter statistics", _STATISTICS),
    Migration(20, "words without accents", _FOLDED),
    Migration(21, "the vocabulary of the current release", _WORDS + words.REBUILD),
    Migration(40, "API keys", _API_KEYS),
)


@asynccontextmanager
async def locked(connection: Connection, *, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Be the only process that changes tables or releases; calls `waiting` once if another one is at it.

    The lock is the session's, so that it spans transactions and index builds, and is gone with the session, also in a
    failover. It is asked for again and again: a session that waits inside a statement holds a snapshot, for whose end
    a concurrent build, under the lock, would wait in turn.
    """
    told = False
    while (await _value(connection, "SELECT pg_try_advisory_lock(%s)", _LOCK)) is not True:
        if not told:
            waiting()
            told = True
        await asyncio.sleep(_LOCK_PAUSE_SECONDS)
    try:
        yield
    finally:
        if not connection.closed and connection.pgconn.transaction_status == TransactionStatus.IDLE:
            await connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


async def migrate(connection: Connection) -> tuple[Migration, ...]:
    """Apply the migrations that are missing, and return them. The caller is `locked`, in a transaction."""
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    rows = await (await connection.execute("SELECT version FROM schema_migrations")).fetchall()
    applied = {row[0] for row in rows}
    missing = tuple(migration for migration in MIGRATIONS if migration.version not in applied)
    for migration in missing:
        await connection.execute(migration.sql.encode(), prepare=False)  # many statements in one
        await connection.execute(
            "INSERT INTO schema_migrations (version, name) VALUES (%s, %s)", (migration.version, migration.name)
        )
    return missing


async def _value(connection: Connection, query: LiteralString, *parameters: object) -> object:
    row = await (await connection.execute(query, parameters)).fetchone()
    return None if row is None else row[0]
