"""The cache: answers kept in Redis for a short time, and never needed."""

import random

from app.errors import RedisUnavailableError
from app.metrics import Metrics
from app.services.redis_cluster import RedisCluster


class Cache:
    """Bytes by key. `get` and `put` never raise and never take long; without Redis, all is a miss."""

    def __init__(self, redis: RedisCluster, *, ttl_seconds: int, metrics: Metrics) -> None:
        self._redis = redis
        self._ttl_seconds = ttl_seconds
        self._metrics = metrics

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under `key`, or None."""
        try:
            found = await self._redis.on_replica(lambda client: client.get(key))
        except RedisUnavailableError:
            self._metrics.cache_lookups.labels("off").inc()
            return None
        self._metrics.cache_lookups.labels("miss" if found is None else "hit").inc()
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value` for the settings' time, less up to a tenth, so that not all that came at once goes at once."""
        ttl_ms = round(self._ttl_seconds * 1000 * random.uniform(0.9, 1.0))  # noqa: S311 - no secret
        try:
            await self._redis.on_primary(lambda client: client.set(key, value, px=ttl_ms))
        except RedisUnavailableError:
            return
