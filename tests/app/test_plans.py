"""Each statement that a request makes names the indexes and the partitions that it should touch, on the real rows."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from app.db import api_keys, bookmarks, epoch, export, history, lookup, schema, search_log, statistics
from app.db.connection import Connection
from app.db.corrections import corrections
from app.db.cursor import Position
from app.db.indexing import INDEXES
from app.db.partitioning import PARTITIONS
from app.db.query import Filters, Query
from app.db.release import Release
from app.db.search import search
from app.limits import Tier
from hms.bench.servers import Postgres
from tests.app.plans import is_text_of, plans, statements
from tests.app.releases import on_server

RELEASE = "icd-10-cm-2026-04"
ALL = frozenset(partition.table for partition in PARTITIONS)
UP_TO_M = frozenset(partition.table for partition in PARTITIONS if partition.lower <= "M")
"""The first codes that say `fracture` and are no categories are in M; what follows is not asked."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """Work of a module, and what its last statement should touch; `tables` beside small ones (`SMALL`)."""

    work: Callable[[Connection], Awaitable[object]]
    indexes: frozenset[str]
    tables: frozenset[str]
    database: str


SMALL = frozenset({"icd10_releases", "icd10_groups", "icd10_chapter_statistics"})
"""Tables of a few hundred rows at most for each release: of a few pages, any plan is as good as another."""


HISTORY = "plans_history"
"""A database with four releases of all codes: of one or two, the planner reads the tables from end to end for one."""


def case(
    work: Callable[[Connection], Awaitable[object]],
    *,
    indexes: str,
    tables: str | frozenset[str],
    database: str = "hms",
) -> Case:
    named = frozenset(tables.split()) if isinstance(tables, str) else tables
    return Case(work=work, indexes=frozenset(indexes.split()), tables=named, database=database)


A_SEARCH = search_log.Search(
    searched_at=datetime.now(UTC),
    number=1,
    query="plans",
    release="r",
    hits=0,
    duration_ms=0.1,
    matched="none",
    cached=False,
)

CASES = {
    "look-up": case(
        lambda c: lookup.find(c, "E11.9"),
        indexes="icd10_codes_active",
        tables="icd10_codes_e",
    ),
    "look-up of many": case(
        lambda c: lookup.find_many(c, ["E11.9", "S72.001A", "Z23"]),
        indexes="icd10_codes_active",
        tables="icd10_codes_e icd10_codes_s_t icd10_codes_z",
    ),
    "look-up in an old release": case(
        lambda c: lookup.find(c, "E11.9", RELEASE), indexes="icd10_codes_pkey", tables="icd10_codes_e"
    ),
    "look-up of many in an old release": case(
        lambda c: lookup.find_many(c, ["E11.9", "Z23"], RELEASE),
        indexes="icd10_codes_pkey",
        tables="icd10_codes_e icd10_codes_z",
    ),
    "which release is current": case(epoch.look, indexes="", tables=""),
    "releases": case(lookup.releases, indexes="", tables=""),
    "search by code": case(
        lambda c: search(c, Query.parse("S72"), limit=20), indexes="icd10_codes_active", tables="icd10_codes_s_t"
    ),
    "search by words": case(
        lambda c: search(c, Query.parse("heart failure"), limit=20),
        indexes="icd10_codes_search icd10_words_pkey",
        tables=ALL | {"icd10_words"},
    ),
    "search by words in a chapter": case(
        lambda c: search(c, Query.parse("heart failure"), Filters(chapter=9), limit=20),
        indexes="icd10_codes_search",
        tables="icd10_codes_i",
    ),
    "search by words for what is not billable": case(
        lambda c: search(c, Query.parse("heart failure"), Filters(billable=False), limit=20),
        indexes="icd10_codes_search_not_billable",
        tables=ALL,
    ),
    "search by a broad word, its categories": case(
        lambda c: search(c, Query.parse("fractures"), limit=5), indexes="icd10_codes_search_categories", tables=ALL
    ),
    "search by a broad word, the other codes": case(
        lambda c: search(c, Query.parse("fractures"), limit=20), indexes="icd10_codes_search", tables=UP_TO_M
    ),
    "search by a broad word, codes in order": case(
        lambda c: search(c, Query.parse("encounter"), limit=20, start=Position(step="others", after="S00")),
        indexes="icd10_codes_active",
        tables="icd10_codes_s_t",
    ),
    "search by code in an old release": case(
        lambda c: search(c, Query.parse("S72"), Filters(release=RELEASE), limit=20),
        indexes="icd10_codes_pkey",
        tables="icd10_codes_s_t",
        database=HISTORY,
    ),
    "search by words in an old release": case(
        lambda c: search(c, Query.parse("heart failure"), Filters(release=RELEASE), limit=20),
        indexes="icd10_codes_pkey",
        tables=ALL,
        database=HISTORY,
    ),
    "corrections": case(
        lambda c: corrections(c, Query.parse("hart falure"), found=False),
        indexes="icd10_words_pkey icd10_words_similar icd10_words_stem",
        tables="icd10_words",
    ),
    "keep a bookmark": case(
        lambda c: bookmarks.put(c, user="plans", code="J45.909"),
        indexes="icd10_codes_active",
        tables="icd10_codes_j bookmarks",
    ),
    "remove a bookmark": case(
        lambda c: bookmarks.delete(c, user="plans", code="J45.909"), indexes="bookmarks_pkey", tables="bookmarks"
    ),
    "list bookmarks": case(
        lambda c: bookmarks.listed(c, user="plans", after="", limit=100),
        indexes="bookmarks_pkey icd10_codes_active",
        tables="bookmarks icd10_codes_j",
    ),
    "write searches down": case(
        lambda c: search_log.insert(c, [A_SEARCH], instance=1), indexes="", tables="search_logs"
    ),
    "statistics": case(statistics.by_chapter, indexes="", tables=""),
    "is everything counted": case(statistics.refresh, indexes="", tables=""),
    "size of a release": case(lambda c: export.size(c, release=RELEASE), indexes="", tables=""),
    "export": case(
        lambda c: export.page(c, release=RELEASE, after="S72.001A"),
        indexes="icd10_codes_pkey",
        tables="icd10_codes_s_t",
    ),
    "differences": case(
        lambda c: export.differences(c, old=RELEASE, new=RELEASE, after="E11"),
        indexes="icd10_codes_pkey",
        tables="icd10_codes_e",
    ),
    "an API key": case(lambda c: api_keys.find(c, bytes(32)), indexes="api_keys_digest_key", tables="api_keys"),
    "keep an API key": case(
        lambda c: api_keys.put(c, digest=bytes(32), name="plans", tier=Tier.PREMIUM, expires_at=None),
        indexes="",
        tables="api_keys",
    ),
    "revoke an API key": case(lambda c: api_keys.revoke(c, "plans-1"), indexes="api_keys_pkey", tables="api_keys"),
    "list API keys": case(
        lambda c: api_keys.listed(c, after="plans-1", limit=100), indexes="api_keys_pkey", tables="api_keys"
    ),
}
"""Every statement in `app.db` that a request makes is in the work of one of these; add a case with a statement."""


@pytest.fixture(scope="module", autouse=True)
def many_bookmarks(postgres: Postgres) -> Iterator[None]:
    """Fill the table as it is in use: of one that has a page, any plan is as good as another."""
    with postgres.connect() as connection:
        connection.execute(
            "INSERT INTO bookmarks (user_name, code) SELECT 'plans-' || length(title) % 50, code FROM icd10_codes "
            "WHERE active AND kind = 'subcategory'"
        )
        connection.execute("ANALYZE bookmarks")
        connection.execute(
            "INSERT INTO api_keys (id, digest, name, tier) "
            "SELECT 'plans-' || n, sha256(n::text::bytea), 'plans', 'premium' FROM generate_series(1, 2000) AS n"
        )
        connection.execute("ANALYZE api_keys")
        yield
        connection.execute("DELETE FROM api_keys WHERE name = 'plans'")
        connection.execute("DELETE FROM bookmarks WHERE user_name LIKE 'plans%'")


@pytest.fixture(scope="module", autouse=True)
def four_releases(postgres: Postgres, release: Release) -> None:
    """Store the release, and again under other names."""
    postgres.create(HISTORY)

    async def work(connection: Connection) -> None:
        async with connection.transaction():
            await schema.migrate(connection)
        for name in (RELEASE, "second", "third", "fourth"):
            await history.store(connection, replace(release, name=name))

    on_server(postgres, HISTORY, work)


@pytest.mark.parametrize("name", CASES)
def test_a_statement_touches_the_indexes_and_the_partitions_that_it_should(postgres: Postgres, name: str) -> None:
    wanted = CASES[name]
    if name == "list bookmarks":
        asyncio.run(plans(postgres, CASES["keep a bookmark"].work))
    seen = asyncio.run(plans(postgres, wanted.work, database=wanted.database))[-1]
    assert seen.tables - SMALL == wanted.tables
    assert {index for index in seen.indexes if not index.startswith(tuple(SMALL))} == wanted.indexes
    assert not seen.scanned - SMALL, f"read from end to end: {sorted(seen.scanned)}\n{seen.query}"


def test_every_statement_that_a_request_makes_has_a_case(postgres: Postgres) -> None:
    asked = [
        plan.query
        for wanted in CASES.values()
        for plan in asyncio.run(plans(postgres, wanted.work, database=wanted.database))
    ]
    unseen = [where for where, text in statements().items() if not any(is_text_of(text, query) for query in asked)]
    assert unseen == [], "add a case to CASES for each"


def test_every_index_that_is_declared_serves_a_statement() -> None:
    serving = {index for wanted in CASES.values() for index in wanted.indexes}
    assert {index.name for index in INDEXES} <= serving
