"""What the Sentinels say: which Redis is the primary, and which nodes there are."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.names import NAMES
from app.settings import Address, RedisSettings

_TIMEOUT_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Survey:
    """`primary` is whom most of those that answered name; `nodes` is every node that one of them knows."""

    primary: Address | None
    nodes: frozenset[Address]
    answers: int


class Sentinels:
    """Asks every Sentinel at once, over a connection to each that is kept: in turn, a dead first one would stall it.

    What they say is a hint. They learn of a promotion up to a second after it, so whoever needs the primary asks the
    nodes themselves.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._master = settings.master
        self._settings = settings
        self._clients: dict[Address, Redis] = {}

    async def survey(self) -> Survey:
        """Ask all of them; takes 0.3 s at most."""
        answers = await asyncio.gather(*(self._ask(address) for address in self._settings.sentinels))
        heard = [answer for answer in answers if answer is not None]
        named = Counter(primary for primary, _ in heard if primary is not None)
        nodes = frozenset(named) | frozenset(node for _, replicas in heard for node in replicas)
        return Survey(named.most_common(1)[0][0] if named else None, nodes, len(heard))

    async def close(self) -> None:
        """Close every connection."""
        for address in tuple(self._clients):
            await self._forget(address)

    async def _ask(self, address: Address) -> tuple[Address | None, tuple[Address, ...]] | None:
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                client = self._clients.get(address)
                if client is None:
                    (host, *_) = await NAMES.of(address.host)
                    client = self._clients.setdefault(address, self._client(host, address.port))
                named: Any = await client.sentinel_get_master_addr_by_name(self._master)
                replicas: Any = await client.sentinel_slaves(self._master)
        except (RedisError, OSError, TimeoutError):
            await self._forget(address)
            return None
        primary = Address(str(named[0]), int(named[1])) if named else None
        return primary, tuple(Address(str(replica["ip"]), int(replica["port"])) for replica in replicas)

    def _client(self, host: str, port: int) -> Redis:
        password_file = self._settings.sentinel_password_file
        return Redis(
            host=host,
            port=port,
            username=self._settings.sentinel_user,
            password=password_file.read_text(encoding="utf-8").rstrip("\n") if password_file else None,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            decode_responses=True,
        )

    async def _forget(self, address: Address) -> None:
        if client := self._clients.pop(address, None):
            with suppress(RedisError, OSError):
                await client.aclose()
