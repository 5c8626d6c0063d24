"""Exactly one instance tends to the search log, whatever becomes of instances and of the server."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from app import load
from app.db import maintenance
from app.db.maintenance import LOCK, Maintenance
from app.db.months import Month
from app.db.router import Router
from app.metrics import Metrics
from app.settings import from_environment
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


def attach(server: Postgres, month: Month) -> None:
    """Make the partition of a month."""
    with server.connect(DATABASE) as connection:
        connection.execute(f"CREATE TABLE {month.table} (LIKE search_logs INCLUDING ALL)".encode())
        connection.execute(f"ALTER TABLE {month.table} OWNER TO app".encode())
        bounds = f"FOR VALUES FROM ('{month.start:%Y-%m-%d} UTC') TO ('{month.end:%Y-%m-%d} UTC')"
        connection.execute(f"ALTER TABLE search_logs ATTACH PARTITION {month.table} {bounds}".encode())


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
    attach(maintained, old)
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


def load_again(environment: dict[str, str]) -> None:
    settings = from_environment({**environment, "HMS_POSTGRES_DATABASE": DATABASE})
    asyncio.run(load.load(settings, small("first", "Cholera")))


def test_a_load_tends_to_the_log_only_where_no_instance_has_the_lock(
    maintained: Postgres, database_environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="app.load")
    old = Month.of(datetime.now(UTC)).plus(-30)
    attach(maintained, old)
    with maintained.connect(DATABASE) as instance:
        instance.execute(f"SELECT pg_advisory_lock({LOCK})".encode())
        load_again(database_environment)
        assert "the search log is tended to by an instance of the service" in caplog.messages
        assert has(maintained, old)
    load_again(database_environment)
    assert not has(maintained, old)
    assert maintained.value(HOLDERS, database=DATABASE) == 0


def test_a_load_does_not_go_by_a_clock_that_another_one_contradicts(
    maintained: Postgres,
    database_environment: dict[str, str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = Month.of(datetime.now(UTC)).plus(-30)
    attach(maintained, old)
    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "_MOST_APART", timedelta(seconds=-1))  # as if no two clocks agreed
        load_again(database_environment)
    assert "the search log is not tended to: the server's clock says" in caplog.text
    assert has(maintained, old)
    load_again(database_environment)
    assert not has(maintained, old)


def test_an_instance_that_was_there_first_makes_the_partitions_of_the_first_load(
    empty_postgres: Postgres, database_environment: dict[str, str]
) -> None:
    empty_postgres.create("unborn")
    environment = {**database_environment, "HMS_POSTGRES_DATABASE": "unborn"}
    partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass('search_logs')"
    with Service(**environment) as service:  # with the interval as it is by default: an hour
        eventually(lambda: leaders([service]) == [service])
        assert empty_postgres.value(HOLDERS, database="unborn") == 1
        asyncio.run(load.load(from_environment(environment), small("first", "Cholera")))
        eventually(lambda: empty_postgres.value(partitions, database="unborn") == 3)


def test_its_connection_has_its_place_in_the_budget_until_it_is_closed(
    maintained: Postgres, database_environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = from_environment({**database_environment, "HMS_POSTGRES_DATABASE": DATABASE}).postgres
    search_log = from_environment(database_environment).search_log
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hms-maintenance'"

    async def until(condition: Callable[[], bool]) -> None:
        await asyncio.to_thread(eventually, condition)

    async def story() -> None:
        router = Router(settings, statement_timeout_seconds=30, retried=lambda _: None, chosen=lambda *_: None)
        task = Maintenance(router, settings, search_log, Metrics(), interval_seconds=0.3)
        await router.start()
        await task.start()
        try:
            await until(lambda: maintained.value(HOLDERS, database=DATABASE) == 1)
            assert router.budget.taken == 1
            with frozen(maintained):
                await until(lambda: "maintenance is given up here" in caplog.messages)
                # Nobody uses the connection any more, but the server still has it.
                assert router.budget.taken == 1
            await task.stop()
            await until(lambda: router.budget.taken == 0)
            await until(lambda: maintained.value(sessions) == 0)
        finally:
            await task.stop()
            await router.stop()

    asyncio.run(story())
