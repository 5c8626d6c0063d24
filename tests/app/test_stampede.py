"""Of many who miss the same answer one computes it; and what becomes of it when those who wait leave."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from app.deadline import Deadline
from app.errors import TimedOutError
from app.metrics import Metrics
from app.services import cache, scripts
from app.services.cache import Cache, Result
from app.services.invalidation import Invalidator
from app.services.redis_cluster import RedisCluster
from app.services.single_flight import SingleFlight
from app.services.tags import EVERYTHING
from app.settings import from_environment
from hms.bench.servers import Redis

T = TypeVar("T")
LONG = 60.0


class Instance:
    """The cache as one process has it; `computed` counts what it computed itself."""

    def __init__(self, redis: RedisCluster, *, ttl_seconds: float = 600) -> None:
        self.redis = redis
        self.cache = Cache(redis, ttl_seconds=ttl_seconds, metrics=Metrics(), timeout_seconds=5)
        self.invalidator = Invalidator(redis, kept_seconds=ttl_seconds)
        self.computed = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.text = b"answer"

    async def ask(self, name: str, *, tags: tuple[str, ...] = ("codes",)) -> tuple[bytes, Result]:
        async def compute(position: int) -> tuple[bytes, bool]:
            del position
            self.computed += 1
            text = self.text
            await self.gate.wait()
            return text, True

        return await self.cache.answer(name, compute, epoch="1", tags=tags, deadline=Deadline(seconds=LONG))

    async def until_kept(self, name: str, *, tags: tuple[str, ...] = ("codes",)) -> bytes:
        while True:
            body, result = await self.ask(name, tags=tags)
            if result is Result.HIT:
                return body


@asynccontextmanager
async def instances(server: Redis, count: int) -> AsyncIterator[list[Instance]]:
    settings = from_environment({"HMS_POSTGRES_HOSTS": "none:1", **server.environment}).redis
    clusters = [RedisCluster(settings) for _ in range(count)]
    made = [Instance(cluster) for cluster in clusters]
    for cluster in clusters:
        await cluster.start()
    while not all(cluster.up for cluster in clusters):
        await asyncio.sleep(0.01)
    await made[0].invalidator.tags(EVERYTHING)
    try:
        yield made
    finally:
        for one in made:
            await one.invalidator.stop()
            await one.cache.stop()
            await one.redis.stop()


@pytest.fixture(autouse=True)
def clean(redis: Redis) -> Iterator[None]:
    yield
    redis.clear()


def run(story: Callable[[], Awaitable[T]]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(LONG):
            return await story()

    return asyncio.run(bounded())


def test_a_hundred_misses_on_two_instances_compute_once(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 2) as (one, other):
            one.gate.clear()
            other.gate.clear()
            asked = [asyncio.create_task(instance.ask("wanted")) for instance in (one, other) for _ in range(50)]
            while not one.computed + other.computed:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0)  # all have asked; the one computes
            one.gate.set()
            other.gate.set()
            answers = await asyncio.gather(*asked)
            assert {body for body, _ in answers} == {b"answer"}
            assert one.computed + other.computed == 1

    run(story)


def test_what_one_instance_keeps_the_other_finds_until_a_tag_is_raised(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 2) as (one, other):
            assert await one.until_kept("shared") == b"answer"
            assert await other.ask("shared") == (b"answer", Result.HIT)
            one.text = other.text = b"changed"
            assert await one.invalidator.tags("release")  # which codes depend on
            assert await other.ask("shared") == (b"changed", Result.MISS)

    run(story)


def test_what_is_being_computed_while_its_tag_is_raised_is_not_kept(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 1) as (one,):
            one.gate.clear()
            before = asyncio.create_task(one.ask("race"))
            while not one.computed:
                await asyncio.sleep(0.005)
            one.text = b"changed"
            assert await one.invalidator.tags("codes")
            after = asyncio.create_task(one.ask("race"))  # must not join the computation from before
            one.gate.set()
            assert (await before)[0] == b"answer"
            assert (await after)[0] == b"changed"
            assert await one.until_kept("race") == b"changed"

    run(story)


def test_a_pattern_takes_back_what_matches_and_what_is_being_computed(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 1) as (one,):
            for name in ("search:1", "search:2", "code:1"):
                await one.until_kept(name)
            one.gate.clear()
            running = asyncio.create_task(one.ask("search:3"))
            while one.computed < 4:
                await asyncio.sleep(0.005)
            one.text = b"changed"
            assert await one.invalidator.pattern("search:*") == 2
            one.gate.set()
            await running
            assert (await one.ask("code:1")) == (b"answer", Result.HIT)
            for name in ("search:1", "search:2", "search:3"):
                assert await one.ask(name) == (b"changed", Result.MISS)

    run(story)


def test_thousands_of_tags_are_raised_in_batches(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 1) as (one,):
            tags = tuple(f"codes:{number}" for number in range(1201))
            for tag in (tags[0], tags[-1]):
                await one.until_kept(tag, tags=(tag,))
            assert await one.invalidator.tags(*tags)
            for tag in (tags[0], tags[-1]):
                assert (await one.ask(tag, tags=(tag,)))[1] is Result.MISS

    run(story)


def test_a_tag_that_could_not_be_raised_is_raised_when_redis_is_back(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 2) as (one, other):
            await one.until_kept("kept")
            redis.freeze()
            one.text = other.text = b"changed"
            assert not await one.invalidator.tags("codes")
            redis.thaw()
            while (await other.ask("kept"))[0] != b"changed":
                await asyncio.sleep(0.01)
            assert await other.until_kept("kept") == b"changed"

    run(story)


def test_a_dear_answer_is_computed_anew_while_everybody_still_has_it(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 1) as (one,):
            cache = Cache(one.redis, ttl_seconds=5, metrics=Metrics(), timeout_seconds=5)
            computed = 0

            async def compute(position: int) -> tuple[bytes, bool]:
                nonlocal computed
                del position
                computed += 1
                await asyncio.sleep(0.5)  # the work itself: its cost decides how early
                return b"answer", True

            def ask() -> Awaitable[tuple[bytes, Result]]:
                return cache.answer("dear", compute, epoch="1", tags=(), deadline=Deadline(seconds=LONG))

            await ask()
            found = []
            while computed < 2:
                found.append((await ask())[1])
                await asyncio.sleep(0.005)
            # The first one may still have been on its way to Redis; then nobody missed it.
            assert set(found[1:]) == {Result.HIT}
            await cache.stop()

    run(story)


def test_an_answer_that_may_not_be_kept_is_not_and_lets_the_next_one_compute(redis: Redis) -> None:
    async def story() -> None:
        async with instances(redis, 1) as (one,):

            async def compute(position: int) -> tuple[bytes, bool]:
                del position
                one.computed += 1
                return b"answer", False

            for number in range(3):
                answer = one.cache.answer("no", compute, epoch="1", tags=(), deadline=Deadline(seconds=LONG))
                assert await answer == (b"answer", Result.MISS)
                assert one.computed == number + 1

    run(story)


def test_a_lock_whose_grant_was_not_heard_is_given_up(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_LOCK_SECONDS", LONG)

    async def story() -> None:
        async with instances(redis, 1) as (only,):
            really = only.cache._script
            unheard: list[Any] = []

            async def deaf(script: scripts.Script, *rest: Any) -> Any:
                found = await really(script, *rest)
                if script is not scripts.CLAIM or unheard:
                    return found
                unheard.append(found)
                return None

            monkeypatch.setattr(only.cache, "_script", deaf)
            assert await only.ask("unheard") == (b"answer", Result.MISS)
            assert unheard[0][2] == 1  # it had the lock, and kept nothing, since it did not know
            assert await only.until_kept("unheard") == b"answer"

    run(story)


def test_who_only_joined_goes_on_when_the_first_one_runs_out_of_time() -> None:
    async def story() -> None:
        instance = Instance(RedisCluster(None))
        begun = asyncio.Event()
        calls = 0

        async def compute(position: int) -> tuple[bytes, bool]:
            nonlocal calls
            del position
            calls += 1
            if calls == 1:
                begun.set()
                await instance.gate.wait()
                raise TimedOutError("the first one's deadline")
            return b"answer", True

        def ask() -> Awaitable[tuple[bytes, Result]]:
            return instance.cache.answer("x", compute, epoch="1", tags=(), deadline=Deadline(seconds=LONG))

        instance.gate.clear()
        first = asyncio.ensure_future(ask())
        await begun.wait()
        second = asyncio.ensure_future(ask())
        await asyncio.sleep(0)
        instance.gate.set()
        with pytest.raises(TimedOutError):
            await first
        assert await second == (b"answer", Result.OFF)

    run(story)


def test_a_flight_lives_as_long_as_somebody_waits_for_it() -> None:
    async def story() -> None:
        flights: SingleFlight[str] = SingleFlight()
        ended: list[str] = []
        gate = asyncio.Event()

        async def work() -> str:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            return "done"

        pair = [asyncio.create_task(flights.join("a", work)) for _ in range(2)]
        await asyncio.sleep(0)
        pair[0].cancel()
        await asyncio.gather(pair[0], return_exceptions=True)
        assert (ended, len(flights)) == ([], 1)
        gate.set()
        assert await pair[1] == "done"
        assert len(flights) == 0

        gate.clear()
        alone = asyncio.create_task(flights.join("a", work))
        await asyncio.sleep(0)
        alone.cancel()
        await asyncio.gather(alone, return_exceptions=True)
        await asyncio.sleep(0)
        assert (ended, len(flights)) == (["cancelled"], 0)

    run(story)
