"""What an instance uses, says so, and never exceeds: slots, what it keeps of clients, its event loop."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis.asyncio as redis_py
from hypothesis import given
from hypothesis import strategies as st

from app.api.resources import pool_of
from app.api.shapes import PoolUse
from app.limits import Limits
from app.middleware import rate_limiter
from app.middleware.concurrency import Slots
from app.middleware.rate_limiter import Local
from app.resources import Monitor
from app.services.redis_node import Node
from app.settings import Address, from_environment
from hms.bench.processes import eventually
from hms.bench.servers import Postgres, Redis
from hms.bench.service import Service
from tests.app.conftest import AS_ADMIN

HELD = "LOCK TABLE bookmarks IN ACCESS EXCLUSIVE MODE"
HELD_SECONDS = 1.0


@given(st.integers(1, 12), st.lists(st.sampled_from(["take", "leave", "end", "wait"]), max_size=60))
def test_slots_are_never_more_than_there_are_and_none_is_lost(most: int, steps: list[str]) -> None:
    async def story() -> None:
        slots = Slots(most, queue_seconds=0.002)
        asked: list[asyncio.Task[bool]] = []
        holders = 0

        async def settle() -> int:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done = [task for task in asked if task.done()]
            for task in done:
                asked.remove(task)
            return sum(not task.cancelled() and task.result() for task in done)

        for step in steps:
            if step == "take":
                asked.append(asyncio.create_task(slots.take()))
            elif step == "leave" and asked:
                asked[-1].cancel()
            elif step == "end" and holders:
                slots.give_back()
                holders -= 1
            elif step == "wait":
                await asyncio.sleep(0.003)
            holders += await settle()
            assert holders <= slots.in_use <= most
            assert slots.waiting <= slots.longest_queue
        while asked:
            await asyncio.sleep(0.001)
            holders += await settle()
        for _ in range(holders):
            slots.give_back()
        assert (slots.in_use, slots.waiting) == (0, 0)

    asyncio.run(story())


def test_an_instance_alone_keeps_a_bounded_number_of_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    now_us = [10**12]
    monkeypatch.setattr(rate_limiter, "_MOST_CLIENTS", 100)
    monkeypatch.setattr(rate_limiter, "_now_us", lambda: now_us[0])
    local = Local(instances=2)
    limits = Limits(60, 1000, 10)
    for number in range(1000):
        assert local.decide(f"client {number}", limits).allowed
    assert len(local) == 100
    assert [local.decide("client 999", limits).allowed for _ in range(5)] == [True] * 4 + [False]  # half of the burst
    now_us[0] += 3_000_000_000
    assert local.clean_up() == 0  # the hour of all of them still counts
    assert local.decide("client 999", limits).allowed
    now_us[0] += 800_000_000
    assert local.clean_up() == 99
    assert len(local) == 1


class Store:
    def __init__(self) -> None:
        self.cleaned = asyncio.Event()

    def __len__(self) -> int:
        return 3

    def clean_up(self) -> int:
        self.cleaned.set()
        return 2


def test_the_monitor_cleans_up_and_notices_a_loop_that_is_held(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        store = Store()
        monitor = Monitor(
            slots=Slots(1),
            enterprise=Slots(1),
            oldest_request_seconds=lambda: 0.0,
            stores={"things": store},
            connections_limit=1,
            clean_up_seconds=0.01,
        )
        await monitor.start()
        with caplog.at_level("INFO", logger="app.resources"):
            await store.cleaned.wait()
            await asyncio.sleep(0)
        assert monitor.memory_bytes() > 1 << 20
        while monitor.lag_seconds < 0.2:
            time.sleep(0.6)
            await asyncio.sleep(0)
        await monitor.stop()

    asyncio.run(story())
    assert {"gone": {"things": 2}, "left": {"things": 3}}.items() <= caplog.records[0].__dict__["fields"].items()


def test_the_administrator_sees_what_is_used_while_requests_are_held(
    postgres: Postgres, redis: Redis, database_environment: dict[str, str], admin_key_file: Path
) -> None:
    settings = {
        "HMS_MAX_CONCURRENCY": "4",
        "HMS_ADMIN_KEY_FILE": str(admin_key_file),
        "HMS_POSTGRES_POOL_SIZE": "3",
        "HMS_REDIS_POOL_SIZE": "7",
    }
    environment = {**database_environment, **redis.environment, **settings}
    with Service(**environment) as service, ThreadPoolExecutor(4) as threads:
        service.until_ready()
        eventually(lambda: service.metric("hms_app_cache_up") == 1)

        def resources() -> dict[str, object]:
            answer = service.client.get("/api/v1/health/resources", headers=AS_ADMIN)
            assert answer.status_code == 200, answer.text
            seen: dict[str, object] = answer.json()
            return seen

        with postgres.connect() as connection, connection.transaction():
            connection.execute(HELD)
            running = [threads.submit(service.put_bookmark, "resources", f"A0{n}") for n in range(4)]
            eventually(lambda: resources()["requests"] == {"active": 4, "waiting": 0, "limit": 4, "utilisation": 1.0})
            first = float(str(resources()["oldest_request_seconds"]))
            eventually(lambda: float(str(resources()["oldest_request_seconds"])) > first > 0)
            seen = resources()
            assert seen["enterprise"] == {"active": 0, "waiting": 0, "limit": 2, "utilisation": 0.0}
            pools = [
                {"server": postgres.address, "in_use": 3, "waiting": 1, "idle": 0, "limit": 3},
                {"server": f"127.0.0.1:{redis.port}", "in_use": 0, "waiting": 0, "idle": 7, "limit": 7},
            ]
            eventually(lambda: resources()["pools"] == pools)  # now and then Redis is asked for its memory
            assert int(str(seen["memory_bytes"])) > 1 << 20
            assert int(str(seen["connections"])) >= 5
            assert seen["kept"] == {"api keys": 0, "limits": 0, "wrong keys": 0}
            assert service.metric('hms_app_slots{kind="request",state="used"}') == 4
            assert service.get("/api/v1/codes/E11").status_code == 503  # full: and this answer came all the same
        for each in running:
            assert each.result().status_code in {200, 201}
        assert resources()["oldest_request_seconds"] == 0


def test_a_process_that_was_held_says_by_how_much_its_event_loop_was_late(
    postgres: Postgres, database_environment: dict[str, str], admin_key_file: Path
) -> None:
    del postgres
    with Service(**database_environment, HMS_ADMIN_KEY_FILE=str(admin_key_file)) as service:
        service.until_ready()
        service.process.freeze()
        time.sleep(HELD_SECONDS)
        service.process.thaw()

        def lag_ms() -> float:
            return float(service.client.get("/api/v1/health/resources", headers=AS_ADMIN).json()["event_loop_lag_ms"])

        # A timer of 0.25 s was running: what was left of it when the process was held is no lag.
        eventually(lambda: lag_ms() >= (HELD_SECONDS - 0.25) * 1000)
        assert service.metric("hms_app_event_loop_lag_seconds") * 1000 == pytest.approx(lag_ms(), abs=0.1)


def test_connections_to_redis_that_are_waited_for_are_not_idle_ones(redis: Redis) -> None:
    environment = {"HMS_POSTGRES_HOSTS": "none:1", "HMS_REDIS_POOL_SIZE": "2", **redis.environment}

    async def story() -> tuple[PoolUse, PoolUse]:
        settings = from_environment(environment).redis
        assert settings is not None
        address = Address("127.0.0.1", redis.port)
        node = Node(address, settings, changed=lambda: None, lost=lambda _: None)
        watcher = asyncio.create_task(node.watch())
        async with asyncio.timeout(60):
            while not node.usable:
                await asyncio.sleep(0.01)
        holds = [asyncio.create_task(node.run(hold, timeout_seconds=60)) for _ in range(5)]
        await asyncio.sleep(0)
        during = pool_of(node)
        await asyncio.gather(*holds)
        after = pool_of(node)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await node.close()
        return during, after

    async def hold(client: "redis_py.Redis") -> None:
        await client.blpop(["app:nothing"], timeout=0.2)

    server = f"127.0.0.1:{redis.port}"
    during, after = asyncio.run(story())
    assert during == PoolUse(server=server, in_use=2, waiting=3, idle=0, limit=2)
    assert after == PoolUse(server=server, in_use=0, waiting=0, idle=2, limit=2)
