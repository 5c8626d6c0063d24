"""The memory of Redis: the alarm, and what real pressure does to tags."""

import asyncio
import logging
from collections.abc import Iterator

import pytest
import redis as redis_py
from hypothesis import given
from hypothesis import strategies as st

from app.limits import Decision
from app.middleware.rate_limiter import SCRIPT
from app.services.memory import HIGH, LOW, Alarm, MemoryWatch
from app.services.redis_cluster import RedisCluster
from app.services.tags import PREFIX
from app.settings import from_environment
from hms.bench.redis_group import RedisGroup

LIMIT_BYTES = 16 * 1024 * 1024
VALUE = b"x" * 131_072


@given(st.lists(st.floats(0, 1.2), max_size=30))
def test_the_alarm_goes_on_at_the_high_bound_and_off_below_the_low_one(ratios: list[float]) -> None:
    alarm = Alarm()
    for ratio in ratios:
        before = alarm.on
        changed = alarm.take(ratio)
        assert changed == (alarm.on != before)
        if ratio >= HIGH:
            assert alarm.on
        elif ratio < LOW:
            assert not alarm.on
        else:
            assert not changed


@pytest.fixture(scope="module")
def small() -> Iterator[RedisGroup]:
    group = RedisGroup(replicas=0, max_memory_bytes=LIMIT_BYTES)
    try:
        yield group
    finally:
        group.remove()


def fill(client: "redis_py.Redis", bound: float) -> None:
    """Store until the used share of the limit is at the bound."""
    number = 0
    while client.info("memory")["used_memory"] < bound * LIMIT_BYTES:
        client.set(f"app:filler:{number}", VALUE, px=600_000)
        number += 1


def test_the_alarm_fires_under_real_pressure_and_no_tag_is_evicted(
    small: RedisGroup, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(client: "redis_py.Redis") -> None:
        cluster = RedisCluster(from_environment({"HMS_POSTGRES_HOSTS": "none:1", **small.environment}).redis)
        watch = MemoryWatch(cluster)
        await cluster.start()
        try:
            async with asyncio.timeout(60):
                while not cluster.up:
                    await asyncio.sleep(0.01)
            (address,) = (node.address for node in cluster.nodes)
            await watch.look()
            assert not watch.alarms[address].on
            assert watch.usage[address].limit_bytes == LIMIT_BYTES
            assert watch.usage[address].policy == "volatile-lru"

            fill(client, HIGH)
            await watch.look()
            assert watch.alarms[address].on

            for number in range(LIMIT_BYTES // len(VALUE)):
                client.set(f"app:more:{number}", VALUE, px=600_000)
            await watch.look()
            assert watch.usage[address].evicted_keys > 0
            assert watch.alarms[address].on
            assert client.get(PREFIX + "codes") == b"1000000@0"

            client.delete(*client.keys("app:filler:*"), *client.keys("app:more:*"))
            await watch.look()
            assert not watch.alarms[address].on
        finally:
            await cluster.stop()

    with small.client(0) as client, caplog.at_level(logging.INFO, logger="app.services.memory"):
        client.set(PREFIX + "codes", "1000000@0")
        asyncio.run(story(client))
    assert [record.getMessage() for record in caplog.records] == [
        "redis memory is above 80 %",
        "redis memory is below 70 % again",
    ]


def test_the_counts_of_a_client_may_be_evicted_and_then_its_limits_are_whole_again(small: RedisGroup) -> None:
    def ask(client: "redis_py.Redis") -> Decision:
        limits = (2, 3_600_000_000, 1000, 1000)  # two at once, then one an hour
        return Decision.of(client.eval(SCRIPT, 1, "app:limit:1:{address:192.0.2.1}", *limits))

    with small.client(0) as client:
        assert [ask(client).allowed for _ in range(3)] == [True, True, False]
        assert 0 < client.pttl("app:limit:1:{address:192.0.2.1}") <= 3_720_000
        client.set(PREFIX + "codes", "1000000@0")
        number = 0
        while client.exists("app:limit:1:{address:192.0.2.1}"):
            client.set(f"app:filler:{number}", VALUE, px=600_000)
            number += 1
            assert number < 100 * LIMIT_BYTES // len(VALUE)
        assert client.get(PREFIX + "codes") == b"1000000@0"
        client.delete(*client.keys("app:filler:*"))
        assert [ask(client).allowed for _ in range(3)] == [True, True, False]
