"""The cache: answers kept in Redis for a short time, and never needed.

Invariant: a request waits for the cache for at most `_OPERATION_TIMEOUT_SECONDS`, and only while the last thing that
was heard of it was good. The first failure closes it to requests; a task in the background finds the primary again
and opens it, so that no request ever pays for finding out that Redis is still dead.
"""

import asyncio
import logging
import random
from contextlib import suppress
from time import monotonic

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.metrics import Metrics
from app.services.sentinels import find_primary
from app.settings import Address, RedisSettings

_LOG = logging.getLogger("app.services.cache")

_OPERATION_TIMEOUT_SECONDS = 0.05
_RETRY_SECONDS = 0.25
_CHECK_SECONDS = 1.0
_CHECK_TIMEOUT_SECONDS = 0.5
_CONNECTIONS = 20
_PROBE_KEY = "app:probe"


class Cache:
    """Bytes by key. `get` and `put` never raise and never take long; without Redis, all is a miss."""

    def __init__(self, settings: RedisSettings | None, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._client: Redis | None = None
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Say whether requests use the cache now."""
        return self._client is not None

    async def start(self) -> None:
        """Begin to look for Redis; waits for nothing."""
        if self._settings is not None:
            self._keeper = asyncio.create_task(self._keep(self._settings))

    async def stop(self) -> None:
        """Let go of Redis."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._close()

    async def get(self, key: str) -> bytes | None:
        """Return what is kept under `key`, or None."""
        client = self._client
        if client is None:
            self._metrics.cache_lookups.labels("off").inc()
            return None
        try:
            async with asyncio.timeout(_OPERATION_TIMEOUT_SECONDS):
                found = await client.get(key)
        except (RedisError, OSError, TimeoutError) as error:
            self._fail(client, error)
            self._metrics.cache_lookups.labels("off").inc()
            return None
        self._metrics.cache_lookups.labels("miss" if found is None else "hit").inc()
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value` for the settings' time, less up to a tenth, so that not all that came at once goes at once."""
        client = self._client
        if client is None or self._settings is None:
            return
        ttl_ms = round(self._settings.ttl_seconds * 1000 * random.uniform(0.9, 1.0))  # noqa: S311 - no secret
        try:
            async with asyncio.timeout(_OPERATION_TIMEOUT_SECONDS):
                await client.set(key, value, px=ttl_ms)
        except (RedisError, OSError, TimeoutError) as error:
            self._fail(client, error)

    def _fail(self, client: Redis, error: Exception) -> None:
        if client is not self._client:
            return  # another request has said so already
        self._client = None
        self._metrics.cache_up.set(0)
        self._broken.set()
        _LOG.warning("cache is off", extra={"fields": {"reason": str(error) or type(error).__name__}})

    async def _keep(self, settings: RedisSettings) -> None:
        client: Redis | None = None
        while True:
            if client is None or client is not self._client:
                if client is not None:
                    await _closed(client)
                client = await self._connect(settings)
            seconds = _CHECK_SECONDS if client is not None else _RETRY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._broken.wait()
            self._broken.clear()
            if client is not None and client is self._client:
                await self._check(client)

    async def _connect(self, settings: RedisSettings) -> Redis | None:
        started = monotonic()
        address = await find_primary(settings)
        if address is None:
            return None
        client = _client(address, settings)
        if not await _is_primary(client):
            await _closed(client)
            return None
        self._client = client
        self._metrics.cache_up.set(1)
        seconds = round(monotonic() - started, 3)
        _LOG.info("cache is on", extra={"fields": {"primary": str(address), "seconds": seconds}})
        return client

    async def _check(self, client: Redis) -> None:
        """Notice a primary that became a replica, or that hangs, also while no request asks it."""
        if not await _is_primary(client):
            self._fail(client, RuntimeError("no answer, or not the primary any more"))

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await _closed(client)


def _client(address: Address, settings: RedisSettings) -> Redis:
    password = settings.password_file.read_text(encoding="utf-8").rstrip("\n") if settings.password_file else None
    return Redis(
        connection_pool=ConnectionPool(
            host=address.host,
            port=address.port,
            username=settings.user,
            password=password,
            max_connections=_CONNECTIONS,
            socket_timeout=_CHECK_TIMEOUT_SECONDS,
            socket_connect_timeout=_CHECK_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    )


async def _is_primary(client: Redis) -> bool:
    """Say whether this node takes writes; a write tells, and needs no right that the cache does not need anyway."""
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_SECONDS):
            await client.set(_PROBE_KEY, b"1", px=1000)
    except (RedisError, OSError, TimeoutError):
        return False
    return True


async def _closed(client: Redis) -> None:
    with suppress(RedisError, OSError):
        await client.aclose()
        await client.connection_pool.disconnect()
