"""What a client sees, and what is kept, while the database is killed, frozen, demoted, or warns."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.releases import small, store_and_switch

pytestmark = pytest.mark.fault

CATEGORIES = "SELECT string_agg(code, ' ' ORDER BY code) FROM icd10_codes WHERE active AND kind = 'category'"
SYNC_WAIT = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@contextmanager
def traffic(request: Callable[[int], httpx.Response], *, threads: int = 4) -> Iterator[list[httpx.Response]]:
    """Make requests one after the other in each thread, until the end of the block; yield the answers as they come."""
    answers: list[httpx.Response] = []
    numbers = itertools.count()
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            answers.append(request(next(numbers)))

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(run) for _ in range(threads)]
        try:
            yield answers
        finally:
            stop.set()
        for thread in running:
            thread.result()


@pytest.fixture(scope="module")
def replica(postgres: Postgres) -> Iterator[Postgres]:
    server = Postgres(replica_of=postgres)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def both(postgres: Postgres, replica: Postgres, database_environment: dict[str, str]) -> Iterator[Service]:
    """Yield the service in front of a primary and a replica, without a cache that would answer in their place."""
    hosts = f"{postgres.address},{replica.address}"
    with Service(**{**database_environment, "HMS_POSTGRES_HOSTS": hosts}) as service:
        service.until_ready()
        until_seen(service, postgres, "primary")
        until_seen(service, replica, "replica")
        yield service


def until_seen(service: Service, server: Postgres, role: str) -> None:
    line = f'hms_app_postgres_member{{member="{server.address}",role="{role}"}}'
    eventually(lambda: service.metric(line) == 1)


def look_up(service: Service) -> Callable[[int], httpx.Response]:
    return lambda n: service.get("/api/v1/search", q="heart failure") if n % 2 else service.get("/api/v1/codes/E11.9")


def test_no_acknowledged_bookmark_is_lost_when_postgres_is_killed_in_the_middle(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    known = str(postgres.value(CATEGORIES)).split()
    with Service(**database_environment) as service:
        service.until_ready()
        with traffic(lambda n: service.put_bookmark(f"ledger-{n // len(known)}", known[n % len(known)])) as answers:
            eventually(lambda: len(answers) > 50)
            postgres.kill()
            before = len(answers)
            postgres.start()
            eventually(lambda: len(answers) > before + 50)
        assert {answer.status_code for answer in answers} <= {200, 201}  # the fault cost latency and not an error
        acknowledged = {(answer.json()["user"], answer.json()["code"]) for answer in answers}
        kept = {(user, code) for user in {user for user, _ in acknowledged} for code in service.bookmarks(user)}
        assert acknowledged <= kept
        assert service.metric("hms_app_postgres_retries_total") > 0


def test_reads_go_to_the_replica_and_on_without_a_failure_when_it_dies(both: Service, replica: Postgres) -> None:
    reads = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hms-app' AND query LIKE '%icd10_codes%'"
    with traffic(look_up(both)) as answers:
        eventually(lambda: int(str(replica.value(reads))) > 0)
        replica.kill()
        before = len(answers)
        eventually(lambda: len(answers) > before + 50)
        replica.start()
        until_seen(both, replica, "replica")
    assert {answer.status_code for answer in answers} == {200}


def test_reads_and_readiness_go_on_while_the_primary_is_dead_and_a_write_waits_for_it(
    both: Service, postgres: Postgres, replica: Postgres
) -> None:
    del replica
    with traffic(look_up(both)) as answers, ThreadPoolExecutor(1) as pool:
        eventually(lambda: len(answers) > 20)
        postgres.kill()
        write = pool.submit(both.put_bookmark, "patient", "E11")
        until_seen(both, postgres, "down")
        before = len(answers)
        eventually(lambda: len(answers) > before + 50)
        assert both.get("/api/v1/health/ready").status_code == 200
        assert both.get("/api/v1/users/patient/bookmarks").status_code == 200
        assert not write.done()
        postgres.start()
        assert write.result().status_code in {200, 201}  # 200 if it found what its first attempt had made
    assert {answer.status_code for answer in answers} == {200}
    until_seen(both, postgres, "primary")


def test_a_replica_that_hangs_costs_a_wait_and_no_failure(both: Service, replica: Postgres) -> None:
    with traffic(look_up(both)) as answers:
        eventually(lambda: len(answers) > 20)
        replica.freeze()
        try:
            until_seen(both, replica, "down")
            before = len(answers)
            eventually(lambda: len(answers) > before + 50)
        finally:
            replica.thaw()
        until_seen(both, replica, "replica")
    assert {answer.status_code for answer in answers} == {200}


def test_a_primary_that_hangs_costs_reads_a_wait_and_writes_an_answer_within_their_deadline(
    both: Service, postgres: Postgres, replica: Postgres, database_environment: dict[str, str]
) -> None:
    hosts = f"{postgres.address},{replica.address}"
    impatient = {**database_environment, "HMS_POSTGRES_HOSTS": hosts, "HMS_REQUEST_TIMEOUT_SECONDS": "3"}
    known = str(postgres.value(CATEGORIES)).split()
    with (
        Service(**impatient) as short,
        traffic(look_up(both)) as reads,
        traffic(lambda n: both.put_bookmark("hung", known[n]), threads=2) as writes,
    ):
        until_seen(short.until_ready(), postgres, "primary")
        eventually(lambda: len(reads) > 20 and len(writes) > 20)
        postgres.freeze()
        try:
            given_up = short.put_bookmark("given-up", "E11")  # it is sent to who is still taken for the primary
            until_seen(both, postgres, "down")
            before = len(reads)
            eventually(lambda: len(reads) > before + 50)
            refused = short.put_bookmark("given-up", "E11")  # and this one finds none
            assert both.get("/api/v1/health/ready").status_code == 200
        finally:
            postgres.thaw()
        until_seen(both, postgres, "primary")
        before = len(writes)
        eventually(lambda: len(writes) > before + 20)
        eventually(lambda: short.put_bookmark("given-up", "E11").status_code in {200, 201})
    for answer in (given_up, refused):
        assert answer.status_code in {503, 504}
        assert answer.elapsed.total_seconds() < 2 * 3
    assert {answer.status_code for answer in reads} == {200}
    assert {answer.status_code for answer in writes} <= {200, 201}  # their deadline of 30 s outlasted the fault
    assert {answer.json()["code"] for answer in writes} <= set(both.bookmarks("hung"))


@pytest.fixture
def movable() -> Iterator[tuple[Postgres, Postgres]]:
    """Yield a primary of our own, and a replica without which it acknowledges nothing: one that may be promoted."""
    old = Postgres()
    try:
        old.create("hms")
        store_and_switch(old, "hms", small("only", "cholera", "typhoid"))
        new = Postgres(replica_of=old)
        try:
            old.configure(synchronous_standby_names="*")
            eventually(lambda: old.value("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == 1)
            yield old, new
        finally:
            new.remove()
    finally:
        old.remove()


@pytest.mark.parametrize("old_lives_on", [False, True], ids=["the old one dies first", "the old one lives on"])
def test_no_acknowledged_bookmark_is_lost_when_the_primary_moves_in_the_middle(
    movable: tuple[Postgres, Postgres], password_file: Path, *, old_lives_on: bool
) -> None:
    old, new = movable
    environment = {
        "HMS_POSTGRES_HOSTS": f"{old.address},{new.address}",
        "HMS_POSTGRES_PASSWORD_FILE": str(password_file),
        "HMS_POSTGRES_CA_FILE": str(old.ca_file),
    }
    with Service(**environment) as service:
        until_seen(service.until_ready(), old, "primary")
        until_seen(service, new, "replica")
        with traffic(lambda n: service.put_bookmark(f"ledger-{n}", "A00")) as answers:
            eventually(lambda: len(answers) > 50)
            if not old_lives_on:
                old.kill()
            # Else there are two for a while: what the old one is still sent waits there for a standby that has left.
            new.promote()
            old.demote()
            until_seen(service, new, "primary")
            until_seen(service, old, "replica")
            before = len(answers)
            eventually(lambda: len(answers) > before + 50)
        assert {answer.status_code for answer in answers} <= {200, 201}  # latency, and no error: 30 s are allowed
        acknowledged = {answer.json()["user"] for answer in answers}
        assert len(acknowledged) == len(answers)
        assert service.bookmarks("ledger-0") == ["A00"]
        with new.connect() as connection:
            kept = {str(user) for (user,) in connection.execute("SELECT user_name FROM bookmarks").fetchall()}
        assert acknowledged <= kept


def test_without_any_member_reads_fail_as_unavailable_and_readiness_says_so(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    with Service(**{**database_environment, "HMS_REQUEST_TIMEOUT_SECONDS": "1"}) as service:
        service.until_ready()
        postgres.kill()
        try:
            until_seen(service, postgres, "down")
            eventually(lambda: service.get("/api/v1/health/ready").status_code == 503)
            assert service.get("/api/v1/health/live").status_code == 200
            for answer in (service.get("/api/v1/codes/E11"), service.put_bookmark("nobody", "E11")):
                assert (answer.status_code, answer.json()["type"]) == (503, "urn:hms:problem:unavailable")
                assert answer.headers["retry-after"] == "1"
        finally:
            postgres.start()
        eventually(lambda: service.get("/api/v1/codes/E11").status_code == 200)


def test_a_database_without_tables_is_not_ready_and_becomes_it_by_the_load_alone(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    postgres.create("unloaded")
    with Service(**{**database_environment, "HMS_POSTGRES_DATABASE": "unloaded"}) as service:
        until_seen(service, postgres, "primary")
        assert service.get("/api/v1/health/ready").status_code == 503
        assert service.get("/api/v1/health/live").status_code == 200
        with postgres.connect("unloaded") as connection:
            connection.execute("CREATE TABLE icd10_releases (name text, active boolean)")
            connection.execute("GRANT SELECT ON icd10_releases TO app")
            connection.execute("INSERT INTO icd10_releases VALUES ('made by hand', true)")
        service.until_ready()


@pytest.fixture
def without_standby(postgres: Postgres) -> Iterator[None]:
    """Make every commit wait for a standby that there is not."""
    postgres.configure(synchronous_standby_names="nobody")
    eventually(lambda: postgres.value("SHOW synchronous_standby_names") == "nobody")
    yield
    postgres.configure(synchronous_standby_names="")


@pytest.mark.usefixtures("without_standby")
def test_a_write_that_no_standby_has_is_not_acknowledged_however_often_it_is_repeated(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    with Service(**database_environment, HMS_REQUEST_TIMEOUT_SECONDS="1.5") as service:
        service.until_ready()
        path = "/api/v1/users/unsafe/bookmarks/E11"
        assert [service.client.put(path).status_code for _ in range(2)] == [504, 504]
        # The commit is there, visible, and on this server only: neither a repeated write nor a removal may rely on it.
        eventually(lambda: postgres.value("SELECT count(*) FROM bookmarks WHERE user_name = 'unsafe'") == 1)
        assert service.client.delete(path).status_code == 504
        assert service.client.delete(path).status_code == 504


def test_a_commit_whose_wait_somebody_else_cut_short_is_not_acknowledged(
    postgres: Postgres, database_environment: dict[str, str]
) -> None:
    with Service(**database_environment) as service, ThreadPoolExecutor(1) as pool:
        service.until_ready()
        postgres.configure(synchronous_standby_names="nobody")
        eventually(lambda: postgres.value("SHOW synchronous_standby_names") == "nobody")
        try:
            write = pool.submit(service.put_bookmark, "cut-short", "E11")
            eventually(lambda: postgres.value(SYNC_WAIT) == 1)
            postgres.value("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            eventually(lambda: service.metric('hms_app_postgres_retries_total{reason="not durable"}') > 0)
            assert not write.done()
        finally:
            postgres.configure(synchronous_standby_names="")
        assert write.result().status_code == 200  # it was there, and is durable only now
