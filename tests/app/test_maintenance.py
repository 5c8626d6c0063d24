"""Exactly one instance tends to the search log, whatever becomes of instances and of the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from app.db.maintenance import LOCK
from app.db.months import Month
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.releases import small, store_and_switch

pytestmark = pytest.mark.fault

DATABASE = "maintained"
HOLDERS = f"""
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database AND datname = current_database()
WHERE locktype = 'advisory' AND objid = {LOCK & 0xFFFFFFFF} AND granted
"""
PARTITIONS = "SELECT string_agg(relname, ' ') FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE relname = '{}'"


@pytest.fixture(scope="module")
def maintained(empty_postgres: Postgres) -> Postgres:
    empty_postgres.create(DATABASE)
    store_and_switch(empty_postgres, DATABASE, small("first", "Cholera"))
    return empty_postgres


@pytest.fixture
def pair(maintained: Postgres, database_environment: dict[str, str]) -> Iterator[list[Service]]:
    del maintained
    environment = {**database_environment, "HMS_POSTGRES_DATABASE": DATABASE, "HMS_MAINTENANCE_SECONDS": "0.3"}
    with Service(**environment) as one, Service(**environment) as other:
        yield [one.until_ready(), other.until_ready()]


def leaders(services: list[Service]) -> list[Service]:
    return [service for service in services if service.metric("hms_app_maintenance_leads") == 1]


def has(server: Postgres, month: Month) -> bool:
    return server.value(PARTITIONS.format(month.table), database=DATABASE) is not None


@contextmanager
def frozen(server: Postgres) -> Iterator[None]:
    """Freeze the server, and let it go on whatever comes: other tests have it too."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def test_one_of_two_instances_makes_and_retires_partitions_and_the_other_takes_over(
    maintained: Postgres, pair: list[Service]
) -> None:
    eventually(lambda: len(leaders(pair)) == 1)
    assert maintained.value(HOLDERS, database=DATABASE) == 1
    (leader,) = leaders(pair)
    now = Month.of(datetime.now(UTC))
    ahead, old = now.plus(2), now.plus(-30)
    with maintained.connect(DATABASE) as connection:
        connection.execute(f"DROP TABLE {ahead.table}".encode())
        connection.execute(f"CREATE TABLE {old.table} (LIKE search_logs INCLUDING ALL)".encode())
        connection.execute(f"ALTER TABLE {old.table} OWNER TO app".encode())
        bounds = f"FOR VALUES FROM ('{old.start:%Y-%m-%d} UTC') TO ('{old.end:%Y-%m-%d} UTC')"
        connection.execute(f"ALTER TABLE search_logs ATTACH PARTITION {old.table} {bounds}".encode())
    eventually(lambda: has(maintained, ahead) and not has(maintained, old))
    leader.process.wait_for(f'"search log tended to".*{old.table}|"search log tended to".*"dropped":\\["{old.table}')
    assert leader.metric('hms_app_search_log_partitions_total{action="dropped"}') == 1
    assert leader.metric('hms_app_search_log_partitions_total{action="made"}') >= 1

    (follower,) = [service for service in pair if service is not leader]
    assert follower.metric("hms_app_maintenance_runs_total") == 0
    leader.process.kill()
    eventually(lambda: leaders([follower]) == [follower])
    assert maintained.value(HOLDERS, database=DATABASE) == 1


def test_it_is_given_up_when_the_server_dies_or_hangs_and_taken_again_by_one(
    maintained: Postgres, pair: list[Service]
) -> None:
    eventually(lambda: len(leaders(pair)) == 1)
    maintained.kill()
    eventually(lambda: leaders(pair) == [])
    maintained.start()
    eventually(lambda: len(leaders(pair)) == 1)
    with frozen(maintained):
        eventually(lambda: leaders(pair) == [])
    eventually(lambda: len(leaders(pair)) == 1)
    assert maintained.value(HOLDERS, database=DATABASE) == 1


def test_it_is_given_up_when_the_server_hangs_in_the_middle_of_the_work(
    maintained: Postgres, pair: list[Service]
) -> None:
    eventually(lambda: len(leaders(pair)) == 1)
    with maintained.connect(DATABASE) as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE pg_inherits")
        eventually(lambda: maintained.value("SELECT count(*) FROM pg_locks WHERE NOT granted", database=DATABASE) == 1)
        with frozen(maintained):
            eventually(lambda: leaders(pair) == [])
    eventually(lambda: len(leaders(pair)) == 1)
    assert maintained.value(HOLDERS, database=DATABASE) == 1
