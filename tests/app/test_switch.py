"""A switch of the release under load, on two instances: whoever asks after the commit is answered from the new one."""

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import httpx
import pytest

from hms.bench.processes import Process, eventually
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service, clean_environment
from tests.app.releases import small, start, store_and_switch, write
from tests.app.test_faults import traffic, until_seen

pytestmark = pytest.mark.fault

DATABASE = "switching"
FIRST = small("first", "cholera of the first", "typhoid of the first", "fever of the first")
SECOND = small("second", "cholera of the second", "typhoid of the second", "fever of the second")
PATHS = ("/api/v1/codes/A00", "/api/v1/codes/A01", "/api/v1/search?q=fever", "/api/v1/search?q=nothing+at+all")
SWITCHED = "release switched"


@pytest.fixture(scope="module")
def replica(empty_postgres: Postgres) -> Iterator[Postgres]:
    empty_postgres.create(DATABASE)
    assert store_and_switch(empty_postgres, DATABASE, FIRST)
    server = Postgres(replica_of=empty_postgres)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def environment(
    empty_postgres: Postgres, replica: Postgres, redis: Redis, database_environment: dict[str, str]
) -> dict[str, str]:
    return {
        **database_environment,
        **redis.environment,
        "HMS_POSTGRES_HOSTS": f"{empty_postgres.address},{replica.address}",
        "HMS_POSTGRES_DATABASE": DATABASE,
    }


@pytest.fixture(scope="module")
def pair(environment: dict[str, str], replica: Postgres) -> Iterator[list[Service]]:
    with ExitStack() as stack:
        services = [stack.enter_context(Service(**environment)) for _ in range(2)]
        for service in services:
            service.until_ready()
            until_seen(service, replica, "replica")
            eventually(partial(uses_cache, service))
        yield services


def uses_cache(service: Service) -> bool:
    return service.metric("hms_app_cache_up") == 1


Asked = list[tuple[float, str]]
"""When each request was begun, and the release that it was answered from."""


@contextmanager
def asking(services: list[Service]) -> Iterator[Asked]:
    """Ask all instances for the same few things, in turn, from several clients."""
    asked: Asked = []
    ways = list(itertools.product(services, PATHS))

    def ask(number: int) -> httpx.Response:
        service, path = ways[number % len(ways)]
        begun = monotonic()
        answer = service.get(path)
        if answer.status_code == 200:
            asked.append((begun, answer.json()["release"]))
        return answer

    with traffic(ask) as answers:
        eventually(lambda: len(asked) > 30)
        yield asked
        enough = len(asked) + 60
        eventually(lambda: len(asked) >= enough)
    assert {answer.status_code for answer in answers} == {200}


def moment_of(process: Process) -> float:
    """Return a time after the commit of the switch that the process makes."""
    process.wait_for(SWITCHED)
    moment = monotonic()
    assert process.wait() == 0, process.output
    return moment


def check(asked: Asked, moment: float, *, before: str, after: str) -> None:
    assert {release for begun, release in asked if begun >= moment} == {after}
    assert before in {release for _, release in asked}


def back(environment: dict[str, str], name: str) -> Process:
    command = [sys.executable, "-m", "app.load", "--switch", name]
    return Process(command, environment=clean_environment(**environment))


@pytest.fixture(autouse=True)
def the_first_release_is_current(environment: dict[str, str], pair: list[Service]) -> None:
    """Undo what the test before did, so that each can run alone."""
    del pair
    process = back(environment, "first")
    assert process.wait() == 0, process.output


@pytest.fixture
def loaded(environment: dict[str, str], tmp_path: Path) -> Callable[[], Process]:
    return lambda: start(write(SECOND, "second", tmp_path / "second"), **environment)


def test_after_a_switch_nobody_is_answered_from_the_old_release(
    pair: list[Service], environment: dict[str, str], loaded: Callable[[], Process]
) -> None:
    with asking(pair) as asked:
        moment = moment_of(loaded())
    check(asked, moment, before="first", after="second")
    with asking(pair) as asked:  # and back: what was kept of its first reign is not asked for
        moment = moment_of(back(environment, "first"))
    check(asked, moment, before="second", after="first")


def test_a_replica_that_has_not_heard_of_the_switch_is_not_asked(
    pair: list[Service], loaded: Callable[[], Process], replica: Postgres
) -> None:
    with replica.connect(DATABASE) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        try:
            with asking(pair) as asked:
                moment = moment_of(loaded())
            check(asked, moment, before="first", after="second")
            assert replica.value("SELECT name FROM icd10_releases WHERE active", database=DATABASE) == "first"
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def test_a_switch_while_redis_hangs_leaves_nothing_old_when_it_is_back(
    pair: list[Service], loaded: Callable[[], Process], redis: Redis
) -> None:
    with asking(pair) as asked:
        redis.freeze()
        try:
            moment = moment_of(loaded())
        finally:
            redis.thaw()
        for service in pair:
            eventually(partial(uses_cache, service))
    check(asked, moment, before="first", after="second")


def test_a_switch_that_crashes_leaves_the_old_release_and_a_lease_again(
    pair: list[Service], loaded: Callable[[], Process], empty_postgres: Postgres
) -> None:
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = 7264310502 & 4294967295"
    with asking(pair) as asked:
        crashed = loaded()
        eventually(lambda: int(str(empty_postgres.value(held, database=DATABASE))) > 0)
        crashed.kill()
        eventually(lambda: empty_postgres.value(held, database=DATABASE) == 0)
    assert {release for _, release in asked} == {"first"}
