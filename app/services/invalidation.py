"""Taking back what is kept: by tag, with all that depends on it, or by pattern.

Invariants:
- When `tags` has returned True, no instance finds an answer that was computed before the call; the primary and every
  replica that is linked to it have the new versions. A replica whose link has just broken may still answer for as long
  as that takes to be noticed, which is under a second.
- A raised version does not go back: what a failover or a restart loses of it is raised once more by the instance that
  raised it, as soon as it meets the new primary; and what could not be raised at all is raised then.
"""

import asyncio
import logging
from time import monotonic
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from app.db.wal import START, Position
from app.errors import RedisUnavailableError
from app.services import scripts
from app.services.cache import ANSWERS, LOCKS
from app.services.redis_cluster import RedisCluster
from app.services.redis_node import Role
from app.services.tags import EVERYTHING, PREFIX

_LOG = logging.getLogger("app.services.invalidation")

_BATCH = 500
_MOST_REMEMBERED = 10_000
_REPLICAS_TIMEOUT_SECONDS = 0.2
_TIMEOUT_SECONDS = 0.5


class Invalidator:
    """Raises tags and removes answers. `kept_seconds` is how long an answer is kept at most."""

    def __init__(self, redis: RedisCluster, *, kept_seconds: float) -> None:
        self._redis = redis
        self._kept_seconds = kept_seconds
        self._raised: dict[str, tuple[Position, float]] = {}
        self._again: asyncio.Task[None] | None = None
        redis.on_new_primary(self._meet)

    async def tags(self, *names: str, position: Position = START) -> bool:
        """Take back all that depends on these tags; return False if Redis, or a replica of it, could not be told yet.

        `position` is where the database has the change that is the reason; who computes anew waits for it.
        """
        self._remember(names, position)
        try:
            return await self._raise(names, position)
        except RedisUnavailableError as error:
            _LOG.warning(
                "tags are raised when redis is back", extra={"fields": {"tags": names[:10], "reason": str(error)}}
            )
            return False

    async def pattern(self, pattern: str) -> int:
        """Remove the answers whose names match a glob-style pattern, such as `search:*`; return how many there were.

        What is being computed is not kept, because its lock goes too. Costs a look at every key: for people, and for
        what no tag stands for. Raises `RedisUnavailableError`.
        """
        removed = 0
        for prefix in (LOCKS, ANSWERS):
            cursor = -1
            while cursor != 0:
                cursor, count = await self._remove(prefix + "*:" + pattern, max(cursor, 0))
                removed += count if prefix == ANSWERS else 0
        return removed

    async def stop(self) -> None:
        """Give up what could not be raised."""
        if self._again is not None:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)

    async def _remove(self, pattern: str, cursor: int) -> tuple[int, int]:
        async def step(redis: Redis) -> tuple[int, int]:
            following, keys = await redis.scan(cursor, match=pattern, count=_BATCH)
            return int(following), await redis.unlink(*keys) if keys else 0

        return await self._redis.on_primary(step, timeout_seconds=_TIMEOUT_SECONDS)

    async def _raise(self, names: tuple[str, ...], position: Position) -> bool:
        keys = [PREFIX + name for name in names]
        confirmed = True
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            replicas = sum(node.view.role is Role.REPLICA and node.view.linked for node in self._redis.nodes)

            async def step(redis: Redis, batch: list[str] = batch, replicas: int = replicas) -> bool:
                arguments: tuple[str | int, ...] = (len(batch), *batch, position)
                told = await _tell(redis, ("EVALSHA", scripts.RAISE.digest, *arguments), replicas=replicas)
                if isinstance(told[0], NoScriptError):
                    told = await _tell(redis, ("EVAL", scripts.RAISE.text, *arguments), replicas=replicas)
                for answer in told:
                    if isinstance(answer, RedisError):
                        raise answer
                return int(told[1]) >= replicas

            confirmed &= await self._redis.on_primary(step, timeout_seconds=_TIMEOUT_SECONDS)
        return confirmed

    def _remember(self, names: tuple[str, ...], position: Position) -> None:
        now = monotonic()
        for name, (_, at) in tuple(self._raised.items()):
            if now - at <= self._kept_seconds:
                break
            del self._raised[name]
        for name in names:
            before, _ = self._raised.pop(name, (START, 0.0))
            self._raised[name] = (max(before, position), now)
        if len(self._raised) > _MOST_REMEMBERED:
            furthest = max(reached for reached, _ in self._raised.values())
            self._raised = {EVERYTHING: (furthest, now)}

    def _meet(self) -> None:
        if self._raised:
            if self._again is not None:
                self._again.cancel()
            self._again = asyncio.create_task(self._raise_again())

    async def _raise_again(self) -> None:
        positions: dict[Position, list[str]] = {}
        for name, (position, _) in self._raised.items():
            positions.setdefault(position, []).append(name)
        for position, names in positions.items():
            try:
                await self._raise(tuple(names), position)
            except RedisUnavailableError:
                return  # the next primary that is met has them raised


async def _tell(redis: Redis, command: tuple[str | int, ...], *, replicas: int) -> list[Any]:
    """Do a command and wait for that many replicas, in one message: WAIT is for what its connection wrote."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.execute_command(*command)
    pipeline.execute_command("WAIT", replicas, round(_REPLICAS_TIMEOUT_SECONDS * 1000))
    return list(await pipeline.execute(raise_on_error=False))
