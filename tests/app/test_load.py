import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.db import history
from app.db.indexing import INDEXES
from app.db.release import Release
from app.db.schema import MIGRATIONS
from app.errors import ReleaseError
from hms.bench.processes import Process, eventually
from hms.bench.servers import Postgres
from hms.bench.service import clean_environment
from tests.app.conftest import start_load
from tests.app.releases import on_server, small, start, store_and_switch, write

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
    valid = "SELECT count(*) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indisvalid AND relname = '{}'"
    assert [postgres.value(valid.format(index.name)) for index in INDEXES] == [1] * len(INDEXES)


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
    assert postgres.value("SELECT count(*) FROM icd10_codes", database="crashed") == 0
    assert postgres.value("SELECT count(*) FROM icd10_releases", database="crashed") == 0

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


def test_a_new_release_replaces_the_old_one_which_stays_as_history(postgres: Postgres) -> None:
    postgres.create("history")
    active = "SELECT string_agg(release || ' ' || title, ', ' ORDER BY code) FROM icd10_codes WHERE active"

    assert store_and_switch(postgres, "history", small("first", "Cholera", "Typhoid"))
    assert store_and_switch(postgres, "history", small("second", "Cholera, renamed"))
    assert postgres.value(active, database="history") == "second Cholera, renamed"
    assert postgres.value("SELECT count(*) FROM icd10_codes", database="history") == 3

    assert not store_and_switch(postgres, "history", small("second", "Cholera, renamed"))
    assert store_and_switch(postgres, "history", small("first", "Cholera", "Typhoid"))
    assert postgres.value(active, database="history") == "first Cholera, first Typhoid"
    assert postgres.value("SELECT name FROM icd10_releases WHERE active", database="history") == "first"

    with pytest.raises(ReleaseError, match="already there with other contents"):
        store_and_switch(postgres, "history", small("first", "Cholera", "Typhoid, another"))
    assert postgres.value(active, database="history") == "first Cholera, first Typhoid"

    with pytest.raises(ReleaseError, match="'third' is not in the database, which has: first, second"):
        on_server(postgres, "history", lambda connection: history.switch(connection, "third"))


def test_a_release_that_is_not_stored_as_it_was_sent_is_refused_and_leaves_nothing(postgres: Postgres) -> None:
    postgres.create("refused")
    store_and_switch(postgres, "refused", small("first", "Cholera"))
    with postgres.connect("refused") as connection:
        connection.execute(
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN CASE WHEN NEW.title = 'Typhoid' THEN NULL ELSE NEW END; END $$;"
            "CREATE TRIGGER lose BEFORE INSERT ON icd10_codes_a_b FOR EACH ROW EXECUTE FUNCTION lose()"
        )
    with pytest.raises(ReleaseError, match="as it was stored: codes: 1, must be 2; billable: 1, must be 2"):
        store_and_switch(postgres, "refused", small("second", "Cholera", "Typhoid"))
    assert postgres.value("SELECT string_agg(name, ' ') FROM icd10_releases", database="refused") == "first"
    assert postgres.value("SELECT count(*) FROM icd10_codes", database="refused") == 1


WAITS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hms-load' AND wait_event_type = 'Lock'"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hms-load'"
BESIDE = "SELECT string_agg(release || code || title || active, ' ' ORDER BY release, code) FROM icd10_codes"
COPIED = "SELECT coalesce(max(tuples_processed), 0) FROM pg_stat_progress_copy WHERE datname = 'beside'"


def killed(process: Process, postgres: Postgres) -> None:
    process.signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    eventually(lambda: postgres.value(SESSIONS) == 0)


def use(postgres: Postgres, user: str) -> None:
    """Read and write as requests do, and wait for nobody's lock."""
    with postgres.connect("beside") as connection:
        connection.execute("SET lock_timeout = '1ms'")
        found = connection.execute("SELECT title FROM icd10_codes WHERE active AND code = 'A00'").fetchone()
        assert found == ("Cholera, as it was",)
        connection.execute("INSERT INTO bookmarks (user_name, code) VALUES (%s, 'A00')", (user,))


def test_a_second_release_is_loaded_beside_the_first_and_a_kill_anywhere_changes_nothing(
    postgres: Postgres, database_environment: dict[str, str], release: Release, tmp_path: Path
) -> None:
    postgres.create("beside")
    store_and_switch(postgres, "beside", small("first", "Cholera, as it was"))
    before = postgres.value(BESIDE, database="beside")
    second = write(release, "second", tmp_path / "second")
    environment = {**database_environment, "HMS_POSTGRES_DATABASE": "beside"}

    process = start(second, **environment)
    eventually(lambda: int(str(postgres.value(COPIED))) > 1000)
    use(postgres, "in the middle of COPY")
    killed(process, postgres)
    assert postgres.value(BESIDE, database="beside") == before

    with postgres.connect("beside") as blocker, blocker.transaction():
        # What the load does last of all before it commits the rows is ANALYZE, which this lock keeps waiting.
        blocker.execute("LOCK TABLE icd10_codes IN SHARE UPDATE EXCLUSIVE MODE")
        process = start(second, **environment)
        eventually(lambda: postgres.value(WAITS) == 1)
        use(postgres, "before the commit of the rows")
        killed(process, postgres)
    assert postgres.value(BESIDE, database="beside") == before

    with postgres.connect("beside") as blocker, blocker.transaction():
        # The switch writes the rows first, then which release is current.
        blocker.execute("SELECT FROM icd10_releases WHERE active FOR UPDATE")
        process = start(second, **environment)
        process.wait_for("statistics refreshed")
        eventually(lambda: postgres.value(WAITS) == 1)
        use(postgres, "before the commit of the switch")
        killed(process, postgres)
    assert postgres.value("SELECT count(*) FROM icd10_codes WHERE active", database="beside") == 1
    assert postgres.value("SELECT name FROM icd10_releases WHERE active", database="beside") == "first"

    process = start(second, **environment)
    assert process.wait() == 0, process.output
    assert "release stored" not in messages(process)
    assert messages(process)[-1] == "release loaded and current"
    assert postgres.value("SELECT name FROM icd10_releases WHERE active", database="beside") == "second"
    assert postgres.value("SELECT count(*) FROM icd10_codes WHERE active", database="beside") == 98_186
    assert postgres.value("SELECT count(*) FROM bookmarks", database="beside") == 3


def test_releases_are_listed_and_one_that_is_stored_is_made_current_again(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    postgres.create("commands")
    environment = {**database_environment, "HMS_POSTGRES_DATABASE": "commands"}
    assert command(environment, "--list") == (1, [])
    store_and_switch(postgres, "commands", small("first", "Cholera", "Typhoid"))
    store_and_switch(postgres, "commands", small("second", "Cholera"))
    assert command(environment, "--switch", "first") == (0, [])
    code, lines = command(environment, "--list")
    assert code == 0
    assert [line.split() for line in lines[1:]] == [
        ["*", "2", *lines[1].split()[2:4], "first"],
        ["1", *lines[2].split()[1:3], "second"],
    ]
    assert command(environment, "--switch", "third")[0] == 1
    assert command(environment, "--generate", "0")[0] == 2


def test_a_generated_history_is_the_release_again_and_no_more_than_asked_for(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    postgres.create("generated")
    environment = {**database_environment, "HMS_POSTGRES_DATABASE": "generated"}
    assert command(environment, "--generate", "7")[0] == 1
    store_and_switch(
        postgres, "generated", small("real", "Cholera", "Typhoid\t\\N \\ with all that COPY quotes", "Ünïcode")
    )
    contents = """
        SELECT count(DISTINCT c) FROM (SELECT release, md5(string_agg(
            (code, title, synonyms, kind, chapter, block, parent, children, billable, notes, search)::text, ''
            ORDER BY code)) AS c FROM icd10_codes GROUP BY release) AS releases
    """
    for rows, there in (("7", 9), ("8", 9), ("10", 12)):
        assert command(environment, "--generate", rows) == (0, [])
        assert postgres.value("SELECT count(*) FROM icd10_codes", database="generated") == there
    assert postgres.value(contents, database="generated") == 1
    assert postgres.value("SELECT count(*) FROM icd10_codes WHERE active", database="generated") == 3
    assert postgres.value("SELECT sum(codes) FROM icd10_chapter_statistics", database="generated") == 12
    assert postgres.value("SELECT count(*) FROM icd10_groups", database="generated") == 8
    assert command(environment, "--switch", "real-generated-00002") == (0, [])
    assert command(environment, "--generate", "15") == (0, [])
    names = "SELECT string_agg(name, ' ' ORDER BY name) FROM icd10_releases"
    assert postgres.value(names, database="generated") == " ".join(
        ["real", *(f"real-generated-0000{n}" for n in (1, 2, 3, 4))]
    )


def command(environment: dict[str, str], *arguments: str) -> tuple[int, list[str]]:
    """Run `python -m app.load` to its end; return its exit code, and what it printed."""
    answer = subprocess.run(
        [sys.executable, "-m", "app.load", *arguments],
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in answer.stderr
    return answer.returncode, answer.stdout.splitlines()
