"""The memory of the Redis nodes: watched, and warned of before it is full."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from app.errors import RedisUnavailableError
from app.services.redis_cluster import RedisCluster
from app.settings import Address

_LOG = logging.getLogger("app.services.memory")

HIGH = 0.80
LOW = 0.70
POLICY = "volatile-lru"
"""What the service needs: tags have no time to live and must never be evicted. Answers, locks and the counts of limits
have one and may be: a client whose counts are gone begins with whole limits (docs/decisions/rate-limits.md)."""

_INTERVAL_SECONDS = 2.0
_TIMEOUT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Usage:
    """What a node says of its memory. `limit_bytes` is 0 if it has none; `fragmentation` is resident over used."""

    used_bytes: int
    limit_bytes: int
    fragmentation: float
    evicted_keys: int
    policy: str

    @property
    def ratio(self) -> float:
        """Return the share of the limit that is used; 0 without a limit."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else 0.0


class Alarm:
    """On from `HIGH` on, and off below `LOW` only: a ratio that wavers about one bound makes one alarm. Pure."""

    def __init__(self) -> None:
        self.on = False

    def take(self, ratio: float) -> bool:
        """Take a ratio; say whether the alarm went on or off by it."""
        was = self.on
        self.on = ratio >= HIGH or (was and ratio >= LOW)
        return self.on is not was


class MemoryWatch:
    """Asks every node in turn. `usage` and `alarms` have the last answer of each that answers, by address."""

    def __init__(self, redis: RedisCluster) -> None:
        self._redis = redis
        self._task: asyncio.Task[None] | None = None
        self.usage: dict[Address, Usage] = {}
        self.alarms: dict[Address, Alarm] = {}

    async def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def look(self) -> None:
        """Ask every node once."""
        known = {node.address for node in self._redis.nodes}
        for address in set(self.usage) - known:
            del self.usage[address], self.alarms[address]
        for node in self._redis.nodes:
            try:
                told = await node.run(lambda redis: redis.info("memory", "stats"), timeout_seconds=_TIMEOUT_SECONDS)
            except RedisUnavailableError:
                continue
            self._take(node.address, _usage(told))

    def _take(self, address: Address, usage: Usage) -> None:
        before = self.usage.get(address)
        self.usage[address] = usage
        fields = {
            "node": str(address),
            "used_bytes": usage.used_bytes,
            "limit_bytes": usage.limit_bytes,
            "ratio": round(usage.ratio, 3),
            "fragmentation": usage.fragmentation,
            "evicted_keys": usage.evicted_keys,
        }
        alarm = self.alarms.setdefault(address, Alarm())
        if alarm.take(usage.ratio):
            if alarm.on:
                _LOG.warning("redis memory is above %d %%", HIGH * 100, extra={"fields": fields})
            else:
                _LOG.info("redis memory is below %d %% again", LOW * 100, extra={"fields": fields})
        if usage.policy != POLICY and (before is None or before.policy != usage.policy):
            message = "redis evicts by %s, which can lose tags or, once full, keep nothing new; set maxmemory-policy %s"
            _LOG.warning(message, usage.policy, POLICY, extra={"fields": fields})


def _usage(told: Any) -> Usage:
    return Usage(
        used_bytes=int(told["used_memory"]),
        limit_bytes=int(told["maxmemory"]),
        fragmentation=float(told["mem_fragmentation_ratio"]),
        evicted_keys=int(told["evicted_keys"]),
        policy=str(told["maxmemory_policy"]),
    )
