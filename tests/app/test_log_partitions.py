import threading
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.errors import QueryCanceled

from app.db import log_partitions
from app.db.connection import Connection
from app.db.log_partitions import Retired, Tended
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from tests.app.releases import on_server, small, store_and_switch

DATABASE = "months"
ATTACHED = """
SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_inherits JOIN pg_class ON oid = inhrelid
WHERE inhparent = 'search_logs'::regclass AND NOT inhdetachpending
"""
TABLES = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' AND relname ~ '^search_l'"
ROW = """
INSERT INTO search_logs (searched_at, instance, number, query, release, hits, duration_ms, matched, cached)
VALUES (%s, 1, 1, 'gout', 'r', 1, 0.5, 'words', false)
"""


@pytest.fixture(scope="module")
def months(empty_postgres: Postgres) -> Postgres:
    empty_postgres.create(DATABASE)
    store_and_switch(empty_postgres, DATABASE, small("first", "Cholera"))
    return empty_postgres


@pytest.fixture(autouse=True)
def _no_partitions(months: Postgres) -> None:
    with months.connect(DATABASE) as connection:
        rows = connection.execute("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
                                  "WHERE tablename LIKE 'search\\_logs\\__%'").fetchall()  # fmt: skip
        for (table,) in rows:
            connection.execute(f"DROP TABLE {table}".encode())


def tend(server: Postgres, now: datetime, *, keep: int = 1, retired: Retired = "drop") -> Tended:
    async def work(connection: Connection) -> Tended:
        return await log_partitions.tend(connection, keep_months=keep, retired=retired, now=now)

    return on_server(server, DATABASE, work)


def insert(server: Postgres, *moments: datetime) -> None:
    with server.connect(DATABASE) as connection:
        for moment in moments:
            connection.execute(ROW, (moment,))


def test_they_are_made_ahead_over_the_end_of_a_year_and_a_leap_day(months: Postgres) -> None:
    assert tend(months, datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)) == Tended(
        made=("search_logs_2027_12", "search_logs_2028_01", "search_logs_2028_02"), retired=()
    )
    assert not tend(months, datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC)).changed
    last, first = datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2027, 12, 1, tzinfo=UTC)
    insert(months, first, last)
    where = "SELECT string_agg(tableoid::regclass::text, ' ' ORDER BY searched_at) FROM search_logs"
    assert months.value(where, database=DATABASE) == "search_logs_2027_12 search_logs_2028_02"
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        insert(months, datetime(2028, 3, 1, tzinfo=UTC))
    assert tend(months, datetime(2028, 1, 1, tzinfo=UTC)).made == ("search_logs_2028_03",)


def test_old_ones_are_dropped_or_archived_with_their_rows(months: Postgres) -> None:
    january, now = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC)
    tend(months, january)
    insert(months, january)
    assert tend(months, now, retired="archive").retired == ("search_logs_2026_01",)
    archived = "SELECT count(*) FROM search_logs_archive.search_logs_2026_01"
    assert months.value(archived, database=DATABASE) == 1
    assert months.value("SELECT count(*) FROM search_logs", database=DATABASE) == 0
    assert tend(months, datetime(2026, 4, 1, tzinfo=UTC)) == Tended(
        made=("search_logs_2026_06",), retired=("search_logs_2026_02",)
    )
    tables = [f"search_logs_2026_0{n}" for n in (1, 3, 4, 5, 6)]
    assert months.value(TABLES, database=DATABASE) == " ".join(tables)
    assert not tend(months, datetime(2026, 4, 30, tzinfo=UTC)).changed


def test_what_a_crash_left_half_done_is_finished_by_the_next_run(months: Postgres) -> None:
    now = datetime(2026, 6, 15, tzinfo=UTC)
    tend(months, datetime(2026, 1, 1, tzinfo=UTC), keep=12)
    with months.connect(DATABASE) as connection:
        connection.execute("ALTER TABLE search_logs DETACH PARTITION search_logs_2026_01")  # and not dropped any more
        connection.execute("CREATE TABLE search_logs_2026_08 (LIKE search_logs INCLUDING ALL)")  # and not attached
        with months.connect(DATABASE) as reader, reader.transaction():
            # A detachment that is cut off while it waits for one who reads stays pending.
            reader.execute("SELECT count(*) FROM search_logs")
            connection.execute("SET statement_timeout = '300ms'")
            with pytest.raises(QueryCanceled):
                connection.execute("ALTER TABLE search_logs DETACH PARTITION search_logs_2026_02 CONCURRENTLY")
        connection.execute("ALTER TABLE search_logs_2026_01 OWNER TO app; ALTER TABLE search_logs_2026_08 OWNER TO app")
    assert tend(months, now) == Tended(
        made=("search_logs_2026_06", "search_logs_2026_07", "search_logs_2026_08"),
        retired=("search_logs_2026_01", "search_logs_2026_02", "search_logs_2026_03"),
    )
    left = "search_logs_2026_06 search_logs_2026_07 search_logs_2026_08"
    assert months.value(ATTACHED, database=DATABASE) == left
    assert months.value(TABLES, database=DATABASE) == left


def test_searches_are_written_down_while_a_partition_waits_to_be_detached(months: Postgres) -> None:
    now = datetime(2026, 6, 15, tzinfo=UTC)
    tend(months, datetime(2026, 1, 1, tzinfo=UTC), keep=12)
    with months.connect(DATABASE) as reader, reader.transaction():
        reader.execute("SELECT count(*) FROM search_logs")
        tending = threading.Thread(target=tend, args=(months, now))
        tending.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%CONCURRENTLY'"
        eventually(lambda: months.value(waits, database=DATABASE) == 1)
        insert(months, now)
        insert(months, datetime(2026, 7, 1, tzinfo=UTC))
    tending.join()
    assert months.value("SELECT count(*) FROM search_logs", database=DATABASE) == 2
