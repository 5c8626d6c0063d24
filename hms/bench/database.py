"""What the database is asked to do apart from any request: building indexes, storing a history."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from app.db import indexing
from app.db.connection import Connection, connect
from app.settings import from_environment
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.processes import Process
from hms.bench.servers import Postgres
from hms.bench.service import clean_environment
from hms.errors import BenchError

BLOCKED_BOUND_MS = 50.0

_GENERATOR_PATIENCE_SECONDS = 3600.0
_BUILT = "icd10_codes_search"


def index_building(place: Place, say: Say) -> tuple[Figure, ...]:
    """Build the largest index again under writes, and tell of the longest one."""
    _execute(place.postgres, f"DROP INDEX {_BUILT}")
    with _writing(place.postgres) as usual:
        time.sleep(2)
    with _writing(place.postgres) as durations:
        built = asyncio.run(_build(place))
    if built != (_BUILT,):
        raise BenchError(f"the index {_BUILT} should have been built, not {built}")
    say(f"{len(durations)} writes while {_BUILT} was built")
    return (
        figure_of(
            durations,
            name="write-while-indexing",
            statistic="max",
            unit="ms",
            promised=("<", BLOCKED_BOUND_MS),
            how=f"rows of one partition after the other are updated, without a pause, while {_BUILT} is built",
            raw=Raw(value=max(usual), what="the longest of 2 s without a builder"),
        ),
    )


def generator(place: Place, say: Say) -> tuple[Figure, ...]:
    """Store some releases more, by the command that does it, and compare with a copy within the server."""
    codes = int(str(place.postgres.value("SELECT max(codes) FROM icd10_releases")))
    began = time.monotonic()
    made = Process(
        [sys.executable, "-m", "app.load", "--generate", str(place.rows)],
        environment=clean_environment(**place.environment),
    )
    if made.wait(seconds=_GENERATOR_PATIENCE_SECONDS) != 0:
        raise BenchError("no history could be generated", remedy=made.output)
    told = [json.loads(line) for line in made.lines]
    rates = [float(line["rows_per_second"]) for line in told if line["message"] == "release generated"]
    stored = int(str(place.postgres.value("SELECT sum(codes) FROM icd10_releases")))
    say(f"{len(rates)} releases generated, {stored} rows in all")
    return (
        figure_of(
            [stored],
            name="history-rows",
            statistic="max",
            unit="rows",
            how=f"the rows that are stored then, after {time.monotonic() - began:.0f} s",
        ),
        figure_of(
            rates[-1:],
            name="generator-rate",
            statistic="median",
            unit="rows/s",
            how=f"{len(rates)} releases of {codes} codes stored by `python -m app.load --generate`, over all of them",
            raw=Raw(
                value=_copied_within(place.postgres),
                what="INSERT of the same rows, from the table itself, into one without index or partition",
            ),
        ),
    )


async def _open(place: Place) -> Connection:
    settings = from_environment(place.environment).postgres
    return await connect(settings.hosts[0], settings, application="hms-bench", statement_timeout_seconds=600)


async def _build(place: Place) -> tuple[str, ...]:
    async with await _open(place) as connection:
        return await indexing.build(connection)


def _copied_within(postgres: Postgres) -> float:
    """Return the rows a second of an INSERT that reads and writes within the server."""
    _execute(postgres, "CREATE TABLE bench_copy (LIKE icd10_codes)")
    with postgres.connect() as connection:
        began = time.monotonic()
        rows = connection.execute("INSERT INTO bench_copy SELECT * FROM icd10_codes WHERE active").rowcount
        seconds = time.monotonic() - began
        connection.execute("DROP TABLE bench_copy")
    return rows / seconds


def _execute(postgres: Postgres, statement: str) -> None:
    with postgres.connect() as connection:
        connection.execute(statement.encode())


@contextmanager
def _writing(postgres: Postgres) -> Iterator[list[float]]:
    """Update a row of each partition in turn until the block ends; yield what each update takes, in ms."""
    durations: list[float] = []
    stop = threading.Event()

    def write() -> None:
        with postgres.connect() as connection:
            firsts = connection.execute(
                "SELECT min(code) FROM icd10_codes WHERE active GROUP BY tableoid ORDER BY 1"
            ).fetchall()
            statement = sql.SQL("UPDATE icd10_codes SET title = title WHERE active AND code = %s")
            while not stop.is_set():
                for (code,) in firsts:
                    began = time.monotonic()
                    connection.execute(statement, (code,))
                    durations.append((time.monotonic() - began) * 1000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield durations
    finally:
        stop.set()
        writer.join()
