import threading

from app.db import statistics
from app.db.release import Release
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.releases import on_server, small, store_and_switch


def test_the_chapters_of_the_current_release_are_counted(service: Service, release: Release) -> None:
    answer = service.get("/api/v1/statistics/chapters")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["release"], told["codes"], told["billable"]) == ("icd-10-cm-2026-04", 98_186, 74_719)
    assert [chapter["chapter"] for chapter in told["chapters"]] == list(range(1, 23))
    for chapter in told["chapters"]:
        rows = [row for row in release.codes if row.chapter == chapter["chapter"]]
        kinds = [row.kind for row in rows]
        assert (chapter["codes"], chapter["billable"]) == (len(rows), sum(row.billable for row in rows))
        assert [chapter[name] for name in ("categories", "subcategories", "extensions")] == [
            kinds.count(kind) for kind in ("category", "subcategory", "extension")
        ]
    assert told["chapters"][18]["title"].startswith("Injury, poisoning")


def refresh(server: Postgres) -> None:
    assert on_server(server, "counted", statistics.refresh)


def test_who_reads_while_they_are_refreshed_does_not_wait(empty_postgres: Postgres) -> None:
    empty_postgres.create("counted")
    store_and_switch(empty_postgres, "counted", small("first", "Cholera"))
    counts = "SELECT string_agg(release || codes, ' ' ORDER BY release) FROM icd10_chapter_statistics"
    with empty_postgres.connect("counted") as connection:  # a release that nobody has counted yet, and that has nothing
        connection.execute(
            "INSERT INTO icd10_releases (name, title, digest, codes, active) VALUES ('empty', '', '', 1, false)"
        )
    with empty_postgres.connect("counted") as blocker, blocker.transaction():
        # The refresh reads the codes, for which it waits here in the middle, holding all its own locks.
        blocker.execute("LOCK TABLE icd10_codes_z IN ACCESS EXCLUSIVE MODE")
        refreshing = threading.Thread(target=refresh, args=(empty_postgres,))
        refreshing.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'REFRESH%'"
        eventually(lambda: empty_postgres.value(waits, database="counted") == 1)
        with empty_postgres.connect("counted") as reader:
            reader.execute("SET lock_timeout = '1ms'")
            assert reader.execute(counts.encode()).fetchone() == ("first1",)
            held = "SELECT mode FROM pg_locks WHERE relation = 'icd10_chapter_statistics'::regclass AND granted"
            assert ("ExclusiveLock",) in reader.execute(held).fetchall()
    refreshing.join()
    store_and_switch(empty_postgres, "counted", small("second", "Cholera", "Typhoid"))
    assert empty_postgres.value(counts, database="counted") == "first1 second2"
