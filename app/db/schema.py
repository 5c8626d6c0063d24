"""The tables, as numbered migrations; each is applied once, in order, inside the transaction of its caller.

`icd10_codes.search` holds each word twice: by its English stem, so that `retinopathies` finds `retinopathy`, and as
it is written, so that `diabeti`, the beginning of a word that is still being typed, finds `diabetic`, whose stem is
shorter. The title weighs A, synonyms B. A code is active if its release is the current one; indexes that serve a
search hold active rows only, so that the history of releases costs a search nothing.
"""

from dataclasses import dataclass

from app.db.connection import Connection
from app.db.partitioning import PARTITIONS

_LOCK = 7_264_310_501
"""The advisory lock of whoever changes tables or releases; the number means nothing but must stay what it is."""

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

_LOOKUP_INDEX = "CREATE UNIQUE INDEX icd10_codes_active ON icd10_codes (code) WHERE active"

SEARCH_INDEXES = {
    "icd10_codes_search": """
        CREATE INDEX icd10_codes_search ON icd10_codes USING gin (search) WITH (fastupdate = off) WHERE active
    """,
    "icd10_codes_search_categories": """
        CREATE INDEX icd10_codes_search_categories ON icd10_codes USING gin (search) WITH (fastupdate = off)
        WHERE active AND kind = 'category'
    """,
}
"""By name, what makes it. A first load drops them and makes them again behind the rows, six times as fast."""

_BOOKMARKS = """
CREATE TABLE bookmarks (
    user_name text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_name, code)
);
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
        ";\n".join((_TABLES + _partitions() + _LOOKUP_INDEX, *SEARCH_INDEXES.values())),
    ),
    Migration(2, "bookmarks", _BOOKMARKS),
)


async def lock(connection: Connection) -> None:
    """Wait until no other process changes tables or releases; held to the end of the transaction."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


async def migrate(connection: Connection) -> tuple[Migration, ...]:
    """Apply the migrations that are missing, and return them. The caller holds `lock` in a transaction."""
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
