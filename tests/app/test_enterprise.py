"""Exports and differences: whole, streamed in bounded memory, a few at a time, and gone with their client."""

import asyncio
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.db import release as releases
from app.middleware.concurrency import Slots
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.conftest import ADMIN_KEY, AS_ADMIN
from tests.app.raw import Client

EXPORT = "/api/v1/enterprise/releases/{}/export"
DIFFERENCES = "/api/v1/enterprise/differences"
BEFORE, AFTER = "soon-to-change", "changed"

RELEASES = """
INSERT INTO icd10_releases (name, title, digest, codes, active)
    SELECT name, name, name, 1, false FROM unnest(ARRAY['soon-to-change', 'changed']) AS name;
INSERT INTO icd10_codes
    (release, code, title, synonyms, kind, chapter, block, parent, children, billable, notes, active)
    SELECT name, code, CASE WHEN name = 'changed' AND code = 'E11' THEN 'Another title' ELSE title END, synonyms, kind,
        chapter, block, parent, children, billable, notes, false
    FROM icd10_codes CROSS JOIN unnest(ARRAY['soon-to-change', 'changed']) AS name
    WHERE active AND code >= 'E08' AND code < 'F02' AND NOT (name = 'changed' AND code = 'E83.52');
INSERT INTO icd10_codes
    (release, code, title, synonyms, kind, chapter, block, parent, children, billable, notes, active)
    VALUES ('changed', 'E99.ZZZ', 'New', '', 'subcategory', 4, 'E70-E88', 'E99', '{}', true, '{}', false);
UPDATE icd10_releases AS r SET codes = (SELECT count(*) FROM icd10_codes AS c WHERE c.release = r.name)
    WHERE name IN ('soon-to-change', 'changed');
"""


@pytest.fixture(scope="module")
def two_releases(postgres: Postgres) -> Iterator[None]:
    """Make two small releases beside the real one: a part of it, and the same with three differences."""
    with postgres.connect() as connection:
        connection.execute(RELEASES.encode())
        yield
        for table, column in (("icd10_codes", "release"), ("icd10_releases", "name")):
            connection.execute(f"DELETE FROM {table} WHERE {column} IN ('soon-to-change', 'changed')".encode())


def lines(answer: httpx.Response) -> list[dict[str, object]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_an_export_has_every_code_of_the_release_once_and_in_order(service: Service, release: releases.Release) -> None:
    exported = lines(service.client.get(EXPORT.format("current"), headers=AS_ADMIN))
    assert [line["code"] for line in exported] == sorted(code.code for code in release.codes)
    wanted = next(code for code in release.codes if code.code == "E11.9")
    found = next(line for line in exported if line["code"] == "E11.9")
    assert found["title"] == wanted.title
    assert found["synonyms"] == list(wanted.synonyms)
    last = lines(service.client.get(EXPORT.format("current"), params={"after": "Z99.2"}, headers=AS_ADMIN))
    assert [line["code"] for line in last] == [line["code"] for line in exported if str(line["code"]) > "Z99.2"]


@pytest.mark.usefixtures("two_releases")
def test_differences_are_what_was_added_removed_and_changed(service: Service) -> None:
    def differences(old: str, new: str) -> dict[str, dict[str, object]]:
        found = lines(service.client.get(DIFFERENCES, params={"from": old, "to": new}, headers=AS_ADMIN))
        assert [line["code"] for line in found] == sorted(str(line["code"]) for line in found)
        return {str(line["code"]): line for line in found}

    found = differences(BEFORE, AFTER)
    assert {code: line["change"] for code, line in found.items()} == {
        "E11": "changed",
        "E83.52": "removed",
        "E99.ZZZ": "added",
    }
    before, after = found["E11"]["before"], found["E11"]["after"]
    assert isinstance(before, dict)
    assert after == {**before, "title": "Another title"}
    assert (found["E99.ZZZ"]["before"], found["E83.52"]["after"]) == (None, None)
    assert differences(BEFORE, BEFORE) == {}
    back = differences(AFTER, BEFORE)
    assert {code: (line["before"], line["after"]) for code, line in back.items()} == {
        code: (line["after"], line["before"]) for code, line in found.items()
    }


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (EXPORT.format("nowhere"), 404),
        (EXPORT.format("current") + "?after=nonsense!", 400),
        (DIFFERENCES, 400),
        (DIFFERENCES + "?from=current&to=nowhere", 404),
    ],
)
def test_what_is_not_there_is_refused_before_a_line_is_sent(service: Service, path: str, status: int) -> None:
    answer = service.client.get(path, headers=AS_ADMIN)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_other_tiers_are_refused(service: Service) -> None:
    made = service.client.post("/api/v1/admin/keys", json={"name": "n", "tier": "premium"}, headers=AS_ADMIN).json()
    assert service.get(EXPORT.format("current")).status_code == 401
    assert service.client.get(EXPORT.format("current"), headers={"x-api-key": made["key"]}).status_code == 403


def test_a_client_that_does_not_read_holds_neither_memory_nor_a_connection_and_others_are_refused(
    postgres: Postgres, database_environment: dict[str, str], admin_key_file: Path
) -> None:
    settings = {"HMS_ADMIN_KEY_FILE": str(admin_key_file), "HMS_SLOW_CLIENT_SECONDS": "2"}
    with Service(**database_environment, **settings, HMS_ENTERPRISE_CONCURRENCY="1") as service:
        service.until_ready()
        path = EXPORT.format("current")
        before = service.client.get("/api/v1/health/resources", headers=AS_ADMIN).json()["memory_bytes"]
        with Client(service.url, receive_buffer_bytes=4096) as slow:
            slow.send(f"GET {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {ADMIN_KEY}\r\n\r\n")
            eventually(lambda: service.metric('hms_app_slots{kind="enterprise",state="used"}') == 1)
            refused = service.client.get(path, headers=AS_ADMIN)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert "1 at once" in refused.json()["detail"]
            during = service.client.get("/api/v1/health/resources", headers=AS_ADMIN).json()
            assert during["memory_bytes"] - before < 30 << 20  # the whole release has 60 MB
            # Nothing is held open in the database while the client sleeps.
            busy = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hms-app' AND state <> 'idle'"
            eventually(lambda: postgres.value(busy) == 0)
            eventually(lambda: service.metric('hms_app_requests_abandoned_total{reason="stalled"}') == 1)
            received = slow.read_to_end()
            assert not received.endswith(b"0\r\n\r\n")  # the end is missing, and the client can see that
        assert service.metric('hms_app_slots{kind="enterprise",state="used"}') == 0
        assert service.client.get(path, params={"after": "Z98"}, headers=AS_ADMIN).status_code == 200


def test_an_export_whose_client_leaves_ends(service: Service) -> None:
    before = service.metric('hms_app_requests_abandoned_total{reason="left"}')
    with Client(service.url, receive_buffer_bytes=4096) as client:
        client.send(f"GET {EXPORT.format('current')} HTTP/1.1\r\nhost: x\r\nx-api-key: {ADMIN_KEY}\r\n\r\n")
        eventually(lambda: service.metric('hms_app_slots{kind="enterprise",state="used"}') == 1)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leave with a reset
    eventually(lambda: service.metric('hms_app_slots{kind="enterprise",state="used"}') == 0)
    assert service.metric('hms_app_requests_abandoned_total{reason="left"}') == before + 1


def test_exports_at_once_are_all_whole(service: Service) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(
            lambda _: service.client.get(EXPORT.format("current"), params={"after": "T00"}, headers=AS_ADMIN), range(2)
        )
        assert len({answer.content for answer in answers}) == 1


def test_slots_of_one_have_a_queue_of_one() -> None:
    async def story() -> list[bool]:
        slots = Slots(1)
        assert await slots.take()
        return list(await asyncio.gather(slots.take(), slots.take()))

    assert asyncio.run(story()) == [False, False]
