"""What it costs to take back all that depends on a tag, however much that is."""

import asyncio
import time

from app.services.cache import ANSWERS
from app.services.invalidation import Invalidator
from app.services.redis_cluster import RedisCluster
from app.settings import from_environment
from hms.bench.cores import started_on
from hms.bench.figure import Figure, Raw, figure_of
from hms.bench.place import Place, Say
from hms.bench.redis_group import RedisGroup
from hms.errors import BenchError
from hms.statistics import distribution, statistic_of

BOUND_MS = 1.0
_KEYS = 10_000
_TIMES = 1000
_PATIENCE_SECONDS = 10.0


def measure(place: Place, say: Say) -> tuple[Figure, ...]:
    """Raise a tag again and again, at a primary and a replica that hold as many answers as the bound speaks of."""
    with started_on(place.other_core):
        group = RedisGroup(replicas=1)
    try:
        _fill(group)
        durations, plain = asyncio.run(_raise(place, group))
    finally:
        group.remove()
    say(f"{len(durations)} invalidations of {_KEYS} answers")
    return (
        figure_of(
            durations,
            name="tag-invalidation",
            statistic="median",
            unit="ms",
            promised=("<", BOUND_MS),
            how=f"a tag is raised {_TIMES} times at a Redis of {_KEYS} answers, until the primary and its replica have "
            "the new version",
            raw=Raw(value=statistic_of(distribution(plain), "median"), what="median of a plain INCR at the primary"),
        ),
    )


def _fill(group: RedisGroup) -> None:
    with group.client(group.primary()) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(_KEYS):
            pipeline.set(f"{ANSWERS}bench:{number}", b"x" * 500, ex=600)
        pipeline.execute()


async def _raise(place: Place, group: RedisGroup) -> tuple[list[float], list[float]]:
    redis = RedisCluster(from_environment({**place.environment, **group.environment}).redis)
    invalidator = Invalidator(redis, kept_seconds=60)
    await redis.start()
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not redis.up or len(redis.nodes) < len(group.ports):
                await asyncio.sleep(0.02)
        durations, plain = [], []
        for _ in range(_TIMES):
            began = time.monotonic()
            if not await invalidator.tags("codes"):
                raise BenchError("a tag could not be raised at a Redis that is whole")
            durations.append((time.monotonic() - began) * 1000)
            began = time.monotonic()
            await redis.on_primary(lambda client: client.incr("app:bench"), timeout_seconds=_PATIENCE_SECONDS)
            plain.append((time.monotonic() - began) * 1000)
    finally:
        await invalidator.stop()
        await redis.stop()
    return durations, plain
