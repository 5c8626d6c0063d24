"""Indexes are built beside the traffic, and what a crash leaves of one is found and made whole."""

import asyncio
import itertools
import logging
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from app.db import indexing
from app.db.connection import Connection
from app.db.indexing import INDEXES, Index
from app.db.partitioning import PARTITIONS
from app.errors import IndexingError
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from tests.app.releases import on_server, small, start, store_and_switch, write

pytestmark = pytest.mark.fault

NUMBERS = itertools.count()
TITLES = replace(INDEXES[0], name="icd10_codes_titles", keys="title", unique=False)
BOOKMARKS = Index(
    name="bookmarks_code", table="bookmarks", method="btree", keys="code", where=None, serves="these tests"
)
WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE query ~ 'INDEX +CONCURRENTLY .* ON +"{}"' AND wait_event_type = 'Lock'
"""
BUILDERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hms-load'"
LOGGED = re.compile(r"\[(\d+)\] LOG:  (?:statement|execute [^:]+): (.*)")
INVALID = """
SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid
"""
ATTACHED = "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('{}')"


@pytest.fixture
def database(empty_postgres: Postgres) -> str:
    name = f"indexed_{next(NUMBERS)}"
    empty_postgres.create(name)
    store_and_switch(empty_postgres, name, small("first", "Cholera", "Typhoid"))
    return name


@contextmanager
def writing(server: Postgres, database: str, table: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Have a transaction open, until the end of the block, that has written to a table."""
    with server.connect(database) as connection, connection.transaction():
        connection.execute(f"UPDATE {table} SET title = title WHERE code = 'A00'".encode())
        yield connection


def build(server: Postgres, database: str, *indexes: Index) -> tuple[str, ...]:
    async def work(connection: Connection) -> tuple[str, ...]:
        return await indexing.build(connection, indexes)

    return on_server(server, database, work)


def test_what_is_declared_is_there_once_on_every_partition(empty_postgres: Postgres, database: str) -> None:
    for index in INDEXES:
        assert empty_postgres.value(ATTACHED.format(index.name), database=database) == len(PARTITIONS)
    assert empty_postgres.value(INVALID, database=database) is None
    assert build(empty_postgres, database, *INDEXES) == ()
    assert build(empty_postgres, database, BOOKMARKS) == ("bookmarks_code",)
    assert build(empty_postgres, database, BOOKMARKS) == ()


def test_an_index_of_a_table_that_is_not_there_is_refused(empty_postgres: Postgres, database: str) -> None:
    with pytest.raises(IndexingError, match="index nothing_code: there is no table nothing: run the migrations first"):
        build(empty_postgres, database, replace(BOOKMARKS, name="nothing_code", table="nothing"))


def test_who_writes_does_not_queue_behind_a_builder_that_waits_for_somebody_else(
    empty_postgres: Postgres, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="app.db.indexing")
    with empty_postgres.connect(database) as connection:
        connection.execute(f"ALTER DATABASE {database} SET log_statement = 'all'".encode())
    builder = threading.Thread(target=build, args=(empty_postgres, database, TITLES))
    # One holds the table, as an export does; the builder tries for its lock and steps back, again and again.
    with writing(empty_postgres, database, "icd10_codes"):
        builder.start()
        eventually(lambda: caplog.messages.count("others use the table, once more") >= 2)
        with empty_postgres.connect(database) as other:
            other.execute("SET lock_timeout = '10s'")  # behind a builder that waits without a bound they would for ever
            for n in range(50):
                other.execute("UPDATE icd10_codes SET title = %s WHERE code = 'A01'", (f"Typhoid {n}",))
        assert empty_postgres.value(INVALID, database=database) is None
        assert builder.is_alive()
    builder.join()
    assert empty_postgres.value(INVALID, database=database) is None
    assert empty_postgres.value(ATTACHED.format(TITLES.name), database=database) == len(PARTITIONS)
    # A write waits behind the builder for no longer than the builder itself waits; 50 ms are promised.
    limits = lock_timeouts_ms(empty_postgres.log)
    assert len(limits) >= 2 + 1 + len(PARTITIONS)  # two tries in vain, the parent's index, and each that is attached
    assert all(limit is not None and limit < 50 for limit in limits)


def lock_timeouts_ms(log: list[str]) -> list[int | None]:
    """Return how long each statement of a log that makes or attaches an index may wait for its lock; None: for ever.

    But for `CONCURRENTLY`, whose lock keeps no writer out.
    """
    limits: dict[str, int] = {}
    found: list[int | None] = []
    for line in log:
        if (logged := LOGGED.search(line)) is None:
            continue
        pid, text = logged.groups()
        if text.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            limits.pop(pid, None)
        elif (limit := re.match(r"SET LOCAL lock_timeout = '(\d+)ms'", text)) is not None:
            limits[pid] = int(limit[1])
        elif re.match(r"(CREATE|ALTER) .*INDEX", text) and "CONCURRENTLY" not in text:
            found.append(limits.get(pid))
    return found


def test_while_it_builds_no_lock_on_a_table_keeps_writers_out(empty_postgres: Postgres, database: str) -> None:
    held = """
        SELECT relation::regclass::text, mode, granted FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'relation' AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
            'AccessExclusiveLock') AND application_name = '' AND pg_locks.pid <> pg_backend_pid()
    """
    builder = threading.Thread(target=build, args=(empty_postgres, database, TITLES))
    with writing(empty_postgres, database, "icd10_codes_a_b"):
        # A build on this partition waits for the transaction: nobody else may have to wait for the build.
        builder.start()
        eventually(lambda: empty_postgres.value(WAITS.format("icd10_codes_a_b"), database=database) == 1)
        with empty_postgres.connect(database) as other:
            locks = other.execute(held.encode()).fetchall()
            for n in range(50):
                other.execute("UPDATE icd10_codes SET title = %s WHERE code = 'A01'", (f"Typhoid {n}",))
        assert locks == []
        assert builder.is_alive()
    builder.join()
    found = "SELECT count(*) FROM icd10_codes WHERE active AND title = 'Typhoid 49'"
    with empty_postgres.connect(database) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        assert connection.execute(found.encode()).fetchone() == (1,)
        explained = connection.execute(f"EXPLAIN {found}".encode()).fetchall()
        assert any("icd10_codes_a_b_titles" in str(line) for line in explained)


def test_a_lock_that_is_never_free_is_given_up_with_a_word_on_what_to_do(
    empty_postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_PATIENCE_SECONDS", 0.0)
    with writing(empty_postgres, database, "icd10_codes"), pytest.raises(IndexingError, match="find it in pg_stat_act"):
        build(empty_postgres, database, TITLES)


def test_what_a_kill_of_the_server_leaves_is_built_again(empty_postgres: Postgres, database: str) -> None:
    builder = threading.Thread(target=_broken_off, args=(empty_postgres, database))
    with suppress(psycopg.OperationalError), writing(empty_postgres, database, "icd10_codes_j"):
        builder.start()
        eventually(lambda: empty_postgres.value(WAITS.format("icd10_codes_j"), database=database) == 1)
        empty_postgres.kill()
    builder.join()
    empty_postgres.start()
    assert empty_postgres.value(INVALID, database=database) == "icd10_codes_j_titles icd10_codes_titles"
    attached = int(str(empty_postgres.value(ATTACHED.format(TITLES.name), database=database)))
    assert 0 < attached < len(PARTITIONS)
    assert build(empty_postgres, database, TITLES) == (TITLES.name,)
    assert empty_postgres.value(INVALID, database=database) is None
    assert empty_postgres.value(ATTACHED.format(TITLES.name), database=database) == len(PARTITIONS)


def _broken_off(server: Postgres, database: str) -> None:
    with pytest.raises(psycopg.OperationalError):
        build(server, database, TITLES)


def test_what_a_kill_of_the_load_leaves_is_built_by_the_next_one(
    empty_postgres: Postgres, database_environment: dict[str, str], database: str, tmp_path: Path
) -> None:
    environment = {**database_environment, "HMS_POSTGRES_DATABASE": database}
    second = write(small("second", "Cholera"), "second", tmp_path / "second")
    with empty_postgres.connect(database) as connection:
        connection.execute("DROP INDEX icd10_codes_search")
    with writing(empty_postgres, database, "icd10_codes_e"):
        process = start(second, **environment)
        eventually(lambda: empty_postgres.value(WAITS.format("icd10_codes_e"), database=database) == 1)
        process.signal(signal.SIGKILL)
        process.wait()
        eventually(lambda: empty_postgres.value(BUILDERS) == 0)  # the server noticed, and the lock is free
    assert empty_postgres.value(INVALID, database=database) == "icd10_codes_e_search icd10_codes_search"
    process = start(second, **environment)
    assert process.wait() == 0, process.output
    assert empty_postgres.value(INVALID, database=database) is None
    assert empty_postgres.value(ATTACHED.format("icd10_codes_search"), database=database) == len(PARTITIONS)


def test_two_builders_are_one_after_the_other(empty_postgres: Postgres, database: str) -> None:
    async def both() -> list[tuple[str, ...]]:
        return await asyncio.gather(*(asyncio.to_thread(build, empty_postgres, database, TITLES) for _ in range(2)))

    assert sorted(asyncio.run(both())) == [(), (TITLES.name,)]
