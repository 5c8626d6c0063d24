"""Which Redis is the primary: what the first Sentinel that answers says."""

import asyncio
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.settings import Address, RedisSettings

_TIMEOUT_SECONDS = 0.3


async def find_primary(settings: RedisSettings) -> Address | None:
    """Ask all Sentinels at once and return the first answer, or None if none of them knows.

    All at once, because asked in turn a dead first one would stall the search; the answer is a hint, and the caller
    asks the node itself whether it takes writes.
    """
    asks = [asyncio.create_task(_ask(sentinel, settings)) for sentinel in settings.sentinels]
    try:
        for answer in asyncio.as_completed(asks):
            if (address := await answer) is not None:
                return address
        return None
    finally:
        for ask in asks:
            ask.cancel()
        await asyncio.gather(*asks, return_exceptions=True)


async def _ask(sentinel: Address, settings: RedisSettings) -> Address | None:
    password_file = settings.sentinel_password_file
    client = Redis(
        host=sentinel.host,
        port=sentinel.port,
        username=settings.sentinel_user,
        password=password_file.read_text(encoding="utf-8").rstrip("\n") if password_file else None,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        decode_responses=True,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            answer = await client.sentinel_get_master_addr_by_name(settings.master)
    except (RedisError, OSError, TimeoutError):
        return None
    finally:
        with suppress(RedisError, OSError):
            await client.aclose()
    if not isinstance(answer, list | tuple) or len(answer) != 2:
        return None
    return Address(str(answer[0]), int(answer[1]))
