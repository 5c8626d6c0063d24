"""The readers against real engines: what they say they saw is what was there."""

import asyncio
import contextlib
import os
from pathlib import Path

import msgspec
import pytest

from drills.reader.api import SEARCHES, Api, ApiReader, search_of
from drills.records import RecordFile
from drills.web import Response
from drills.wire import AppSettings, Settings, WriterStatus
from drills.writer.app import user_of
from hms.evidence import ReaderName
from hms.reads import Read, read_reads, staleness_seconds
from tests.drills.conftest import PostgresPair, make_settings
from tests.drills.engines import RedisServer
from tests.drills.test_writers import TRIAL, Recorder, during, ledger


def reads_of(settings: Settings, reader: ReaderName) -> tuple[Read, ...]:
    path = Path(settings.directory) / TRIAL / f"{reader}.reads.jsonl"
    return read_reads(path.read_bytes(), source=path.name)


def reading(settings: Settings, *readers: ReaderName) -> Settings:
    return msgspec.structs.replace(settings, read_rates_per_second=dict.fromkeys(readers, 50.0))


def test_the_primary_shows_every_acknowledged_write_and_the_replica_follows(folder: Path, pair: PostgresPair) -> None:
    settings = make_settings(folder, postgres_port=pair.primary.port, rates={"postgres": 100.0})
    settings = reading(settings, "postgres-primary", "postgres-replica")

    async def write_on(recorder: Recorder) -> None:
        await recorder.acknowledged(60)

    stopped = asyncio.run(during(settings, write_on))
    assert [(reader.name, reader.writer) for reader in stopped.readers] == [
        ("postgres-primary", "postgres"),
        ("postgres-replica", "postgres"),
    ]
    writes = ledger(settings, "postgres")
    primary, replica = reads_of(settings, "postgres-primary"), reads_of(settings, "postgres-replica")
    assert sum(read.ok for read in primary) > 5
    assert set(staleness_seconds(primary, writes)) == {0.0}
    assert max(read.seen for read in primary if read.seen is not None) > 30
    assert sum(read.ok for read in replica) > 5
    assert {file.name for file in stopped.files} >= {"postgres-primary.reads.jsonl", "postgres-replica.reads.jsonl"}


def test_a_replica_that_stands_still_is_caught_as_stale(folder: Path, pair: PostgresPair) -> None:
    settings = make_settings(folder, postgres_port=pair.primary.port, rates={"postgres": 100.0})
    settings = reading(settings, "postgres-replica")
    pair.primary.ask("ALTER SYSTEM SET synchronous_standby_names = ''")
    pair.primary.ask("SELECT pg_reload_conf()")

    async def stand_still(recorder: Recorder) -> None:
        await recorder.acknowledged(20)
        pair.replica.ask("SELECT pg_wal_replay_pause()")
        paused = await recorder.acknowledged(0)
        await recorder.acknowledged(paused.acknowledged + 60)
        pair.replica.ask("SELECT pg_wal_replay_resume()")

    asyncio.run(during(settings, stand_still))
    stale = staleness_seconds(reads_of(settings, "postgres-replica"), ledger(settings, "postgres"))
    assert max(stale) > 0.2


def test_reads_of_a_killed_redis_fail_and_come_back(folder: Path, redis: RedisServer) -> None:
    settings = reading(make_settings(folder, redis_port=redis.port, rates={"redis": 100.0}), "redis-primary")
    redis.ask("CONFIG", "SET", "appendfsync", "always")

    async def restart(recorder: Recorder) -> None:
        await recorder.acknowledged(30)
        redis.kill()
        failing = await recorder.first(lambda message: isinstance(message, WriterStatus) and message.detail != "")
        await recorder.first(lambda m: isinstance(m, WriterStatus) and m.refused + m.unknown >= 30)
        redis.start()
        await recorder.acknowledged(60, since_ns=failing.at_ns)

    asyncio.run(during(settings, restart))
    found = reads_of(settings, "redis-primary")
    assert found[-1].ok
    assert any(not read.ok for read in found)
    assert set(staleness_seconds(found, ledger(settings, "redis"))) == {0.0}


class StubApi(Api):
    """Answers each path with what a test wants, the first `broken` attempts with a broken connection."""

    def __init__(self, response: Response, *, broken: int = 0) -> None:
        super().__init__(AppSettings(host="127.0.0.1", port=1, key_file=os.devnull))
        self.prefix = "r-t"
        self.paths: list[str] = []
        self._response = response
        self._broken = broken

    async def _attempt(self, path: str) -> Response:
        self.paths.append(path)
        if len(self.paths) <= self._broken:
            raise ConnectionResetError
        return self._response


def answer(document: object, *, status: int = 200, cache: str = "hms; fwd=miss") -> Response:
    return Response(status, msgspec.json.encode(document), {"cache-status": cache})


HITS = {"hits": [{"code": "S52.5", "title": "Fracture of lower end of radius"}]}


@pytest.mark.parametrize(
    ("response", "broken", "expected"),
    [
        (answer(HITS), 0, Read(0, 0, 0, ok=True)),
        (answer(HITS, cache="hms; hit"), 0, Read(0, 0, 0, ok=True, detail="cache")),
        (answer(HITS), 2, Read(0, 0, 0, ok=True, attempts=3)),
        (answer(HITS), 6, Read(0, 0, 0, ok=True, attempts=7)),  # 1.55 s of pauses: twice as long each, up to 0.4 s
        (answer({}, status=503), 0, Read(0, 0, 0, ok=False, detail="status 503")),
        (answer({"hits": []}), 0, None),
        (answer({"hits": [{"code": "", "title": ""}]}), 0, None),
        (answer({"results": 3}), 0, None),
        (Response(200, b"<html>", {}), 0, None),
    ],
)
def test_an_answer_counts_only_if_its_content_is_right(response: Response, broken: int, expected: Read | None) -> None:
    api = StubApi(response, broken=broken)
    found = asyncio.run(ApiReader("api-search", api).read(lambda: -1))
    if expected is None:
        assert not found.ok
        assert found.detail.startswith(("wrong answer", "not JSON"))
    else:
        assert (found.ok, found.attempts, found.detail) == (expected.ok, expected.attempts, expected.detail)


def test_connections_that_break_are_tried_again_until_three_seconds_have_passed() -> None:
    found = asyncio.run(ApiReader("api-search", StubApi(answer(HITS), broken=1000)).read(lambda: -1))
    assert not found.ok
    assert found.detail == "no answer within 3 s, the last: ConnectionResetError"
    assert 5 < found.attempts <= 10


def test_a_code_that_a_search_found_must_have_the_title_that_it_was_found_with() -> None:
    right = answer({"code": "S52.5", "title": "Fracture of lower end of radius"})
    wrong = answer({"code": "S52.5", "title": "Cholera"})
    for response, ok in ((right, True), (wrong, False)):
        api = StubApi(response)
        api.found.append(("S52.5", "Fracture of lower end of radius"))
        assert asyncio.run(ApiReader("api-lookup", api).read(lambda: -1)).ok is ok
        assert api.paths == ["/api/v1/codes/S52.5"]


@pytest.mark.parametrize(("kept", "seen"), [([], 19), (["A00", "A02"], 22), (["A01", "A00"], 21)])
def test_bookmarks_tell_the_newest_write_that_they_show(kept: list[str], seen: int) -> None:
    api = StubApi(answer({}))
    user = user_of("r-t", 1)
    api._response = answer({"user": user, "bookmarks": [{"code": code} for code in kept], "next": None})
    found = asyncio.run(ApiReader("api-bookmarks", api).read(lambda: 22))
    assert (found.ok, found.seen) == (True, seen)


def test_no_search_of_a_trial_is_asked_twice() -> None:
    asked = [search_of(turn) for turn in range(7, 7 + SEARCHES)]
    assert len(set(asked)) == SEARCHES


def test_a_record_that_is_opened_again_goes_on_after_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "x.reads.jsonl"
    for number in range(2):
        log = RecordFile(path)
        log.append(Read(number, 1, 1, ok=True))
        log.close()
        with path.open("ab") as torn:
            torn.write(b"[77,1")
    assert [read.due_ns for read in read_reads(path.read_bytes(), source="x")] == [0, 1]


async def silent_then_well(silent: int, reads: int) -> tuple[list[tuple[bool, int]], float]:
    """Read from a server that accepts the first `silent` requests and says nothing to them; return what was found."""
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked <= silent:
            with contextlib.suppress(OSError):
                await reader.read()
        else:
            body = msgspec.json.encode(HITS)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader = ApiReader("api-search", Api(AppSettings(host="127.0.0.1", port=port, key_file=os.devnull)))
        began = asyncio.get_running_loop().time()
        found = [await reader.read(lambda: -1) for _ in range(reads)]
        took_seconds = asyncio.get_running_loop().time() - began
    # Those who serve find their client gone, and end by themselves.
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    return [(each.ok, each.attempts) for each in found], took_seconds


def test_who_is_silent_for_a_second_is_asked_again_on_another_connection() -> None:
    found, took_seconds = asyncio.run(silent_then_well(1, 2))
    assert found == [(True, 2), (True, 1)]
    assert took_seconds >= 1.0


def test_a_read_that_nobody_answers_is_failed_after_three_seconds() -> None:
    ((ok, attempts),), took_seconds = asyncio.run(silent_then_well(99, 1))
    assert (ok, attempts) == (False, 3)
    assert took_seconds >= 3.0
