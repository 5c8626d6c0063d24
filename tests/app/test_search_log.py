"""Each search that is answered is written down, behind the requests and never in their way."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from app.db import search_log
from app.db.connection import Connection
from app.db.router import Router
from app.db.search_log import LONGEST_QUERY, Search, SearchLog, insert
from app.metrics import Metrics
from app.settings import from_environment
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.releases import on_server, small, store_and_switch

WRITTEN = """
SELECT array_agg(
    (hits, matched, cached, release, duration_ms > 0, now() - searched_at < '1 hour') ORDER BY number)::text
FROM search_logs WHERE query = '{}'
"""
RELEASE = "icd-10-cm-2026-04"


def written(postgres: Postgres, query: str) -> list[str]:
    """Return the rows of a query, in order."""
    found = str(postgres.value(WRITTEN.format(query))).strip('{}"')
    return [] if found == "None" else [part.strip("()") for part in found.split('","')]


def test_a_search_is_written_down_with_how_it_went_and_nothing_of_who_asked(
    service: Service, postgres: Postgres
) -> None:
    assert service.get("/api/v1/search", q="  Lupus   VULGARIS ", limit=5).status_code == 200
    again: list[str] = []  # a cache that is slow at that moment is not waited for, so a hit may need another try
    while "hms; hit" not in again:
        again.append(service.get("/api/v1/search", q="lupus vulgaris", limit=5).headers["cache-status"])
    assert service.get("/api/v1/search", q="a18.4").status_code == 200
    assert service.get("/api/v1/search", q="qqqqqqqqq zzzzzzzzzz").status_code == 200
    assert service.get("/api/v1/search", q="?").status_code == 400
    eventually(lambda: len(written(postgres, "qqqqqqqqq zzzzzzzzzz")) == 1)
    rows = written(postgres, "lupus vulgaris")
    hits = rows[0].split(",")[0]
    assert int(hits) >= 1
    cached = ["f", *("t" if each == "hms; hit" else "f" for each in again)]
    assert rows == [f"{hits},words,{each},{RELEASE},t,t" for each in cached]
    assert written(postgres, "a18.4")[0].startswith("1,code,f,")
    assert written(postgres, "qqqqqqqqq zzzzzzzzzz")[0].startswith("0,none,f,")
    assert written(postgres, "?") == []
    columns = (
        "SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 'search_logs'::regclass AND attnum > 0"
    )
    assert postgres.value(columns) == ("searched_at instance number query release hits duration_ms matched cached")
    assert service.metric('hms_app_search_log_rows_total{result="written"}') >= 4


def test_searches_are_answered_while_the_log_cannot_be_written_and_written_when_it_can(
    service: Service, postgres: Postgres
) -> None:
    with postgres.connect() as blocker, blocker.transaction():
        blocker.execute("LOCK TABLE search_logs IN ACCESS EXCLUSIVE MODE")
        for _ in range(20):
            assert service.get("/api/v1/search", q="while it is locked").status_code == 200
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%search_logs%'"
        eventually(lambda: int(str(postgres.value(waits))) > 0)
    eventually(lambda: len(written(postgres, "while it is locked")) == 20)


def test_a_service_that_stops_writes_what_is_left(postgres: Postgres, database_environment: dict[str, str]) -> None:
    with Service(**database_environment) as service:
        service.until_ready()
        assert service.get("/api/v1/search", q="the last words").status_code == 200
        assert service.stop() == 0
    assert len(written(postgres, "the last words")) == 1


def test_turned_off_nothing_is_written(postgres: Postgres, database_environment: dict[str, str]) -> None:
    with Service(**database_environment, HMS_SEARCH_LOG="off") as service:
        service.until_ready()
        assert service.get("/api/v1/search", q="not to be kept").status_code == 200
        assert service.metric("hms_app_search_log_waiting") == 0
        assert service.stop() == 0
    assert written(postgres, "not to be kept") == []


def search(number: int, searched_at: datetime) -> Search:
    return Search(
        searched_at=searched_at,
        number=number,
        query="gout",
        release="r",
        hits=1,
        duration_ms=0.5,
        matched="words",
        cached=False,
    )


def test_a_batch_that_is_sent_twice_is_stored_once(empty_postgres: Postgres) -> None:
    empty_postgres.create("twice")
    store_and_switch(empty_postgres, "twice", small("r", "Gout"))
    now = datetime.now(UTC)
    batch = [search(number, now + timedelta(milliseconds=number)) for number in range(3)]

    async def work(connection: Connection) -> None:
        await insert(connection, batch[:2], instance=1)
        await insert(connection, batch, instance=1)
        await insert(connection, batch[:1], instance=2)

    on_server(empty_postgres, "twice", work)
    assert empty_postgres.value("SELECT count(*) FROM search_logs", database="twice") == 4


@contextmanager
def log(
    postgres: Postgres | None, password_file: Path, database: str = "hms"
) -> Iterator[tuple[SearchLog, Metrics, Router]]:
    """Yield a log of this process, in front of a server or of none."""
    environment = {
        "HMS_POSTGRES_HOSTS": postgres.address if postgres else "127.0.0.1:1",
        "HMS_POSTGRES_DATABASE": database,
    }
    if postgres:
        environment |= {"HMS_POSTGRES_PASSWORD_FILE": str(password_file), "HMS_POSTGRES_CA_FILE": str(postgres.ca_file)}
    settings = from_environment(environment)
    router = Router(
        settings.postgres, statement_timeout_seconds=5, retried=lambda reason: None, chosen=lambda choice: None
    )
    metrics = Metrics()
    yield SearchLog(router, metrics, on=True), metrics, router


def figure(metrics: Metrics, result: str) -> float:
    return metrics.registry.get_sample_value("hms_app_search_log_rows_total", {"result": result}) or 0


def note(log: SearchLog, query: str = "gout") -> None:
    log.note(query=query, release="r", hits=1, matched="words", cached=False, began=monotonic())


def test_what_is_too_much_or_comes_while_there_is_no_primary_is_dropped_and_counted(
    password_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_log, "_MOST_WAITING", 3)
    monkeypatch.setattr(search_log, "_BATCH_SECONDS", 0.05)
    monkeypatch.setattr(search_log, "_INTERVAL_SECONDS", 0.01)

    async def run() -> None:
        with log(None, password_file) as (written_down, metrics, router):
            await router.start()
            for _ in range(5):
                note(written_down)
            assert figure(metrics, "full") == 2
            await written_down.start()
            while figure(metrics, "database") < 3:
                await asyncio.sleep(0.01)
            assert metrics.registry.get_sample_value("hms_app_search_log_waiting") == 0
            note(written_down)  # there is room again
            assert figure(metrics, "full") == 2
            await written_down.stop()
            await router.stop()
            assert figure(metrics, "database") == 4

    asyncio.run(run())


def test_rows_of_a_month_that_has_no_partition_are_dropped_and_later_ones_are_written(
    empty_postgres: Postgres, password_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(search_log, "_INTERVAL_SECONDS", 0.01)
    empty_postgres.create("untended")
    store_and_switch(empty_postgres, "untended", small("r", "Gout"))
    here = datetime.now(UTC)
    with empty_postgres.connect("untended") as connection:
        partition = f"search_logs_{here:%Y_%m}"
        connection.execute(f"ALTER TABLE search_logs DETACH PARTITION {partition}".encode())

        async def run() -> None:
            with log(empty_postgres, password_file, "untended") as (written_down, metrics, router):
                await router.start()
                await written_down.start()
                for _ in range(2):  # said once
                    dropped = figure(metrics, "defect")
                    note(written_down)
                    while figure(metrics, "defect") == dropped:
                        await asyncio.sleep(0.01)
                attach = f"ALTER TABLE search_logs ATTACH PARTITION {partition} FOR VALUES FROM ('{here:%Y-%m}-01') "
                end = (here.replace(day=1) + timedelta(days=32)).strftime("%Y-%m-01")
                connection.execute(f"{attach} TO ('{end}')".encode())
                note(written_down, "long " * 100)
                while figure(metrics, "written") == 0:
                    await asyncio.sleep(0.01)
                await written_down.stop()
                await router.stop()

        asyncio.run(run())
    assert empty_postgres.value("SELECT max(length(query)) FROM search_logs", database="untended") == LONGEST_QUERY
    assert caplog.messages.count("searches are not written down") == 1
