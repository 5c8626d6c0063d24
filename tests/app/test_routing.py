"""Where reads go, and what they see: real members, one of which does not hear of what the other one commits."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest

from app.db.connection import Connection
from app.db.pool import Budget, Pool
from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.bench.service import Service
from tests.app.releases import small, store_and_switch
from tests.app.test_faults import until_seen

DATABASE = "routing"
CONNECTIONS = 9
WATCHERS = 4
CODE = "/api/v1/codes/A00"


@pytest.fixture(scope="module")
def replica(empty_postgres: Postgres) -> Iterator[Postgres]:
    empty_postgres.create(DATABASE)
    store_and_switch(empty_postgres, DATABASE, small("only", "cholera", "typhoid"))
    server = Postgres(replica_of=empty_postgres)
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def both(empty_postgres: Postgres, replica: Postgres, database_environment: dict[str, str]) -> Iterator[Service]:
    hosts = f"{empty_postgres.address},{replica.address}"
    environment = {
        **database_environment,
        "HMS_POSTGRES_HOSTS": hosts,
        "HMS_POSTGRES_DATABASE": DATABASE,
        "HMS_POSTGRES_CONNECTIONS": str(CONNECTIONS),
    }
    with Service(**environment) as service:
        service.until_ready()
        until_seen(service, empty_postgres, "primary")
        until_seen(service, replica, "replica")
        yield service


@contextmanager
def deaf(replica: Postgres) -> Iterator[None]:
    """Have the replica replay nothing."""
    with replica.connect(DATABASE) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def reads(service: Service, to: str) -> float:
    return service.metric(f'hms_app_postgres_reads_total{{to="{to}"}}')


def goes_to(service: Service, to: str, path: str = CODE, **headers: str) -> bool:
    """Ask, and say whether it was answered from there."""
    before = reads(service, to)
    assert service.client.get(path, headers=headers).status_code == 200
    return reads(service, to) > before


def test_reads_leave_a_replica_that_lacks_too_much_and_come_back(
    both: Service, empty_postgres: Postgres, replica: Postgres
) -> None:
    eventually(lambda: goes_to(both, "replica"))
    with deaf(replica):
        both.put_bookmark("ann", "A00")  # something that the replica lacks
        staleness = f'hms_app_postgres_staleness_seconds{{member="{replica.address}"}}'
        eventually(lambda: both.metric(staleness) > 1)
        assert goes_to(both, "primary")
        assert not goes_to(both, "replica")
    eventually(lambda: goes_to(both, "replica"))
    assert reads(both, "stale replica") == 0
    del empty_postgres


def test_who_wrote_reads_it_from_whoever_has_it(both: Service, replica: Postgres) -> None:
    path = "/api/v1/users/bob/bookmarks"
    with deaf(replica):
        for code in ("A00", "A01"):
            written = both.put_bookmark("bob", code)
            after = {"HMS-Read-After": written.headers["hms-read-after"]}
            listed = both.client.get(path, headers=after)
            assert code in [mark["code"] for mark in listed.json()["bookmarks"]]
    eventually(lambda: goes_to(both, "replica", path, **after))
    listed = both.client.get(path, headers=after)
    assert [mark["code"] for mark in listed.json()["bookmarks"]] == ["A00", "A01"]
    removed = both.client.delete(f"{path}/A00")
    after = {"HMS-Read-After": removed.headers["hms-read-after"]}
    listed = both.client.get(path, headers=after)
    assert [mark["code"] for mark in listed.json()["bookmarks"]] == ["A01"]


def test_a_position_that_nobody_has_come_to_is_read_where_writes_go(both: Service) -> None:
    assert goes_to(both, "primary", "/api/v1/users/bob/bookmarks", **{"HMS-Read-After": "FFFFFFFF/FFFFFFFF"})
    refused = both.client.get("/api/v1/users/bob/bookmarks", headers={"HMS-Read-After": "soon"})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "HMS-Read-After"


SESSIONS = "SELECT client_port FROM pg_stat_activity WHERE application_name LIKE 'hms-%' AND client_port > 0"


@contextmanager
def counting(service: Service, *servers: Postgres) -> Iterator[list[int]]:
    """Count, until the end of the block, the sessions that a service has: sockets of its own that a server knows.

    Neither side alone will do: a session ends at the server later than its client has left, a socket may be a request
    to cancel, and a server that hangs cannot be asked; of that one, the sessions count that it had before.
    """
    counted: list[int] = []
    known: dict[int, set[int]] = {server.port: set() for server in servers}
    done = threading.Event()

    def know(server: Postgres) -> None:
        with suppress(psycopg.OperationalError), server.connect() as connection:
            while not done.wait(0.01):
                rows = connection.execute(SESSIONS).fetchall()
                known[server.port] = {int(str(port)) for (port,) in rows}

    def count() -> None:
        while not done.wait(0.01):
            at_servers = {(local, port) for port, locals_ in known.items() for local in locals_}
            counted.append(len(at_servers & sockets(service.process.pid)))

    with ThreadPoolExecutor(len(servers) + 1) as watchers:
        watching = [*(watchers.submit(know, server) for server in servers), watchers.submit(count)]
        try:
            yield counted
        finally:
            done.set()
        for each in watching:
            each.result()


def sockets(pid: int) -> set[tuple[int, int]]:
    """List the established connections of a process by their ports: its own, and the other one's."""
    held = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            held.add(os.readlink(file))
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    established = [row for row in rows if row[3] == "01" and f"socket:[{row[9]}]" in held]
    return {(int(row[1].rpartition(":")[2], 16), int(row[2].rpartition(":")[2], 16)) for row in established}


def ask(service: Service, number: int) -> int:
    answer = service.get(CODE) if number % 2 else service.put_bookmark(f"many-{number % 8}", "A00")
    return answer.status_code


def test_all_connections_of_an_instance_stay_within_its_budget(
    both: Service, empty_postgres: Postgres, replica: Postgres
) -> None:
    with counting(both, empty_postgres, replica) as counted, ThreadPoolExecutor(24) as clients:
        statuses = set(clients.map(partial(ask, both), range(160)))
    assert statuses <= {200, 201}
    assert 0 < max(counted) <= CONNECTIONS
    limit = both.metric('hms_app_postgres_budget{state="limit"}')
    assert limit == CONNECTIONS - WATCHERS


LOCKED = """
SELECT count(*) FROM pg_locks WHERE relation = 'icd10_codes'::regclass AND mode = 'AccessExclusiveLock' AND granted
"""


@pytest.mark.fault
@pytest.mark.parametrize(("fail", "come_back"), [(Postgres.kill, Postgres.start), (Postgres.freeze, Postgres.thaw)])
def test_by_default_they_are_50_in_all_and_no_more_when_a_member_fails_under_load(
    empty_postgres: Postgres,
    replica: Postgres,
    database_environment: dict[str, str],
    fail: Callable[[Postgres], None],
    come_back: Callable[[Postgres], None],
) -> None:
    environment = {
        **database_environment,
        "HMS_POSTGRES_HOSTS": f"{empty_postgres.address},{replica.address}",
        "HMS_POSTGRES_DATABASE": DATABASE,
        "HMS_POSTGRES_POOL_SIZE": "50",  # so that one member alone would be given more than all of them may have
        "HMS_REQUEST_TIMEOUT_SECONDS": "55",  # they wait for us for as long as a busy machine takes to count
    }
    clients = 96
    with (
        Service(**environment) as service,
        counting(service, empty_postgres, replica) as counted,
        ThreadPoolExecutor(clients) as pool,
        empty_postgres.connect(DATABASE) as blocker,
    ):
        until_seen(service.until_ready(), replica, "replica")
        with blocker.transaction():
            # Nobody is answered, neither here nor, once that replays it, at the replica: each needs a connection.
            blocker.execute("LOCK TABLE icd10_codes IN ACCESS EXCLUSIVE MODE")
            eventually(lambda: replica.value(LOCKED, database=DATABASE) == 1)
            asked = [pool.submit(ask, service, number) for number in range(clients)]
            eventually(lambda: service.metric('hms_app_postgres_budget{state="taken"}') == 50 - WATCHERS)
            eventually(lambda: len(counted) > 0 and counted[-1] >= 50 - WATCHERS)
            fail(replica)
            until_seen(service, replica, "down")
            before = len(counted)
            eventually(lambda: len(counted) > before + 50)
        assert {answer.result() for answer in asked} <= {200, 201}
        come_back(replica)
        until_seen(service, replica, "replica")
    assert 50 - WATCHERS <= max(counted) <= 50


class Fake:
    """A connection as a pool sees it."""

    def __init__(self) -> None:
        self.closed = False
        self.pgconn = self
        self.transaction_status = 0  # IDLE

    async def close(self) -> None:
        self.closed = True


def pools(most: int) -> tuple[Budget, Pool, Pool, list[Fake]]:
    opened: list[Fake] = []

    async def connect() -> Connection:
        opened.append(Fake())
        return cast(Any, opened[-1])  # type: ignore[no-any-return]  # it has what a pool uses

    budget = Budget(most)
    return budget, Pool(connect, size=4, budget=budget), Pool(connect, size=4, budget=budget), opened


def test_what_is_idle_at_one_member_gives_way_to_what_another_one_needs() -> None:
    async def story() -> None:
        budget, one, other, opened = pools(2)
        async with one.connection(), one.connection():
            pass
        assert (one.idle, budget.taken) == (2, 2)
        async with other.connection():
            assert (one.idle, other.idle, budget.taken) == (1, 0, 2)
        assert [connection.closed for connection in opened] == [False, True, False]  # the one that was idle first

    asyncio.run(story())


def test_who_waits_for_the_budget_and_leaves_does_not_take_the_place_along() -> None:
    async def story() -> None:
        budget, one, other, _ = pools(1)

        async def use(pool: Pool) -> None:
            async with pool.connection():
                pass

        async with asyncio.timeout(10):
            async with one.connection():
                leaving, staying = (asyncio.create_task(use(other)) for _ in range(2))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            leaving.cancel()  # it was just woken
            await asyncio.gather(leaving, return_exceptions=True)
            await staying
        assert budget.taken == 1
        await other.renew()
        await one.renew()
        assert budget.taken == 0

    asyncio.run(story())
