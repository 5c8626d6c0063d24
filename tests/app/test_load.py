import asyncio
import json
import signal

import psycopg
import pytest

from app.db.connection import Connection
from app.db.release import CodeRow, GroupRow, Notes, Release, make_current
from app.db.schema import MIGRATIONS, lock, migrate
from app.errors import ReleaseError
from hms.bench.processes import Process, eventually
from hms.bench.servers import Postgres
from tests.app.conftest import start_load

FINGERPRINT = """
SELECT md5(string_agg(md5(codes::text), '' ORDER BY code)) FROM icd10_codes AS codes
"""


def messages(process: Process) -> list[str]:
    return [str(json.loads(line)["message"]) for line in process.lines]


def test_the_first_load_makes_the_tables_and_the_release_current(postgres: Postgres, first_load: Process) -> None:
    assert messages(first_load)[-1] == "release loaded and current"
    assert json.loads(first_load.lines[-1])["codes"] == 98_186
    assert postgres.value("SELECT count(*) FROM icd10_codes WHERE active") == 98_186
    assert postgres.value("SELECT count(*) FROM icd10_codes WHERE active AND billable") == 74_719
    assert postgres.value("SELECT count(*) FROM icd10_groups WHERE kind = 'block'") == 297
    assert postgres.value("SELECT count(*) FROM schema_migrations") == len(MIGRATIONS)
    assert postgres.value("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'icd10\\_codes\\_search%'") == 2


def test_a_kill_in_the_middle_changes_nothing_and_of_two_loads_the_second_changes_nothing(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    postgres.create("crashed")
    environment = {**database_environment, "HMS_POSTGRES_DATABASE": "crashed"}
    tuples = "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy WHERE datname = 'crashed'"
    crashed = start_load(**environment)
    crashed.wait_for("migration applied")
    eventually(lambda: int(str(postgres.value(tuples))) > 1000)
    crashed.signal(signal.SIGKILL)
    assert crashed.wait() == -signal.SIGKILL
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'crashed' AND application_name = 'hms-load'"
    eventually(lambda: postgres.value(sessions) == 0)
    assert postgres.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database="crashed") == 0

    pair = [start_load(**environment) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0], pair[0].output + pair[1].output
    assert sorted(messages(process)[-1] for process in pair) == [
        "release loaded and current",
        "release was current already, nothing changed",
    ]
    assert postgres.value(FINGERPRINT, database="crashed") == postgres.value(FINGERPRINT)
    assert postgres.value("SELECT count(DISTINCT xmin::text) FROM icd10_codes", database="crashed") == 1


def test_without_a_writable_primary_it_says_what_it_waits_for_and_gives_up(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    postgres.create("locked")
    with postgres.connect() as connection:
        connection.execute("ALTER DATABASE locked SET default_transaction_read_only = on")
    hosts = database_environment["HMS_POSTGRES_HOSTS"] + ",localhost:1"
    process = start_load(
        **{
            **database_environment,
            "HMS_POSTGRES_HOSTS": hosts,
            "HMS_POSTGRES_DATABASE": "locked",
            "HMS_LOAD_WAIT_SECONDS": "0.6",
        }
    )
    assert process.wait() == 1
    assert "accepts no writes" in process.output
    assert "refused" in process.output
    assert "no writable primary within HMS_LOAD_WAIT_SECONDS" in messages(process)[-1]


def small(name: str, *titles: str) -> Release:
    rows = tuple(
        CodeRow(f"A0{n}", title, (), "category", 1, "A00-A09", None, (), True, Notes())
        for n, title in enumerate(titles)
    )
    groups = (GroupRow("chapter", "1", "Infections"), GroupRow("block", "A00-A09", "Intestinal"))
    return Release(name=name, title=name, codes=rows, groups=groups)


async def apply(conninfo: str, release: Release) -> bool:
    connection: Connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
    async with connection, connection.transaction():
        await lock(connection)
        await migrate(connection)
        return await make_current(connection, release)


def test_a_new_release_replaces_the_old_one_which_stays_as_history(postgres: Postgres) -> None:
    postgres.create("history")
    conninfo = f"host={postgres.directory} port={postgres.port} user=postgres dbname=history"
    active = "SELECT string_agg(release || ' ' || title, ', ' ORDER BY code) FROM icd10_codes WHERE active"

    assert asyncio.run(apply(conninfo, small("first", "Cholera", "Typhoid")))
    assert asyncio.run(apply(conninfo, small("second", "Cholera, renamed")))
    assert postgres.value(active, database="history") == "second Cholera, renamed"
    assert postgres.value("SELECT count(*) FROM icd10_codes", database="history") == 3

    assert not asyncio.run(apply(conninfo, small("second", "Cholera, renamed")))
    assert asyncio.run(apply(conninfo, small("first", "Cholera", "Typhoid")))
    assert postgres.value(active, database="history") == "first Cholera, first Typhoid"
    assert postgres.value("SELECT name FROM icd10_releases WHERE active", database="history") == "first"

    with pytest.raises(ReleaseError, match="already there with other contents"):
        asyncio.run(apply(conninfo, small("first", "Cholera", "Typhoid, another")))
    assert postgres.value(active, database="history") == "first Cholera, first Typhoid"
