"""One Redis node as this process sees it: its role, whether it answers, and the connections to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from redis import CredentialProvider
from redis import exceptions as errors
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.errors import RedisUnavailableError
from app.services.breaker import Breaker, State
from app.settings import Address, RedisSettings
from app.tracing import span

T = TypeVar("T")
Work = Callable[[Redis], Awaitable[T]]

_LOG = logging.getLogger("app.services.redis")

OPERATION_TIMEOUT_SECONDS = 0.05
"""How long a request waits for Redis unless it says otherwise: fifty times what an answer takes."""

_FAILURES = 3
"""In a row, to open the breaker: one may be a connection that an earlier primary left."""

_REST_SECONDS = 0.04
_PROBE_INTERVAL_SECONDS = 0.25
_HASTY_INTERVAL_SECONDS = 0.05
_PROBE_TIMEOUT_SECONDS = 0.2
_CONNECT_TIMEOUT_SECONDS = 0.5

_TIMEOUTS = (errors.TimeoutError, TimeoutError)

_FAULTS = (
    errors.ConnectionError,  # also: it loads its data, or knows no such user
    errors.InvalidResponse,
    errors.ReadOnlyError,  # it was the primary
    errors.MasterDownError,
    OSError,
)
"""What tells of the node and not of the command."""

_REFUSALS = ("OOM", "NOREPLICAS", "MISCONF", "NOPERM", "command not allowed", "this user has no permissions")
"""How the answers begin of a node that is well, and does not do what it is asked."""


class Role(Enum):
    """What a node says that it is, or that it says nothing."""

    PRIMARY = "primary"
    REPLICA = "replica"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class View:
    """What the last probe saw. `linked`: a primary is, and a replica whose link to its primary is up."""

    role: Role
    linked: bool


_DOWN = View(Role.DOWN, linked=False)


class Node:
    """One node, asked for its `ROLE` over a connection of its own, and by requests while its breaker is closed.

    A probe that fails opens the breaker; one that succeeds closes it. A request that waited in vain only has the node
    probed at once: it may be this process that was busy. So a node that hangs costs what is asked of it within
    `_PROBE_TIMEOUT_SECONDS` a wait, and one that refuses is left after `_FAILURES`. `lost` is called when a request saw
    a failure, `changed` when the view changed.
    """

    def __init__(
        self,
        address: Address,
        settings: RedisSettings,
        *,
        changed: Callable[[], None],
        lost: Callable[["Node"], None],
    ) -> None:
        self.address = address
        self._name = str(address)
        self.view = _DOWN
        self.pool_size = settings.pool_size
        self.breaker = Breaker(failures=_FAILURES, rest_seconds=_REST_SECONDS, state=State.OPEN)
        self.hasty = False
        self.in_use = 0
        self._slots = asyncio.Semaphore(settings.pool_size)
        self._client = _client(address, settings, connections=settings.pool_size)
        self._prober: Any = _client(address, settings, connections=1)  # `role` has no types
        self._changed = changed
        self._lost = lost
        self._suspect = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Say whether a request may ask this node now."""
        return self.breaker.state is State.CLOSED

    async def run(self, work: Work[T], *, timeout_seconds: float) -> T:
        """Do `work`, given `timeout_seconds` to get a connection and as much again for the work.

        Raises `RedisUnavailableError` if the node cannot be asked or does not do it, and what `work` raises of its own.
        """
        permit = self.breaker.admit()
        if permit is None:
            raise RedisUnavailableError(f"Redis at {self.address} did not answer lately")
        await self._take_slot(timeout_seconds)
        try:
            with span("redis", {"db.system.name": "redis", "server.address": self._name}):
                async with asyncio.timeout(timeout_seconds):
                    result = await work(self._client)
        except _TIMEOUTS as error:
            self.probe_soon()
            raise RedisUnavailableError(f"Redis at {self.address}: no answer within {timeout_seconds} s") from error
        except _FAULTS as error:
            self.breaker.failed(permit, monotonic())
            self.probe_soon()
            self._lost(self)
            raise RedisUnavailableError(f"Redis at {self.address}: {_reason(error)}") from error
        except errors.ResponseError as error:
            self.breaker.succeeded(permit)
            if isinstance(error, errors.OutOfMemoryError | errors.NoPermissionError) or str(error).startswith(
                _REFUSALS
            ):
                raise RedisUnavailableError(f"Redis at {self.address} refused: {error}") from error
            raise
        finally:
            self.in_use -= 1
            self._slots.release()
        self.breaker.succeeded(permit)
        return result

    def probe_soon(self) -> None:
        """Have the node probed at once."""
        self._suspect.set()

    async def watch(self) -> None:
        """Keep `view` and the breaker true until cancelled."""
        while True:
            self._suspect.clear()
            await self._probe()
            interval = _HASTY_INTERVAL_SECONDS if self.hasty else _PROBE_INTERVAL_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._suspect.wait()
                # A request saw a failure: give the node a moment, or a dead one would be asked without a pause.
                await asyncio.sleep(_HASTY_INTERVAL_SECONDS / 2)

    async def close(self) -> None:
        """Close every connection. `watch` must have ended."""
        for client in (self._client, self._prober):
            with suppress(errors.RedisError, OSError):
                await client.aclose()
                await client.connection_pool.disconnect()

    async def _take_slot(self, timeout_seconds: float) -> None:
        self.in_use += 1
        if not self._slots.locked():
            await self._slots.acquire()
            return
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._slots.acquire()
        except TimeoutError as error:
            # This says nothing of the node: all of this process' connections to it are at work.
            self.in_use -= 1
            message = f"all {self.pool_size} connections to Redis at {self.address} are in use (HMS_REDIS_POOL_SIZE)"
            raise RedisUnavailableError(message) from error
        except BaseException:
            self.in_use -= 1
            raise

    async def _probe(self) -> None:
        was_usable = self.usable
        permit = self.breaker.try_again(monotonic())
        if permit is None:
            return
        try:
            view = await self._ask()
            if not was_usable:
                await self._warm()
        except (errors.RedisError, OSError, TimeoutError) as error:
            self.breaker.trip(monotonic())
            self._become(_DOWN, was_usable=was_usable, reason=_reason(error))
        except BaseException:
            self.breaker.dropped(permit)
            raise
        else:
            self.breaker.succeeded(permit)
            self._become(view, was_usable=was_usable)

    async def _ask(self) -> View:
        started = monotonic()
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                return _view(await self._prober.role())
        except TimeoutError:
            if monotonic() - started < 2 * _PROBE_TIMEOUT_SECONDS:
                raise
        # The timer itself was late: it was this process that did not listen. Once more, then it counts.
        async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
            return _view(await self._prober.role())

    async def _warm(self) -> None:
        """Open the connections before requests need them: many at once would run out of time with shaking hands."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CONNECT_TIMEOUT_SECONDS):
                pings = (self._client.ping() for _ in range(self.pool_size))
                await asyncio.gather(*pings, return_exceptions=True)

    def _become(self, view: View, *, was_usable: bool, reason: str = "") -> None:
        if view == self.view and self.usable == was_usable:
            return
        fields = {"node": str(self.address), "role": view.role.value, "linked": view.linked}
        _LOG.info(
            "redis is seen as %s", view.role.value, extra={"fields": fields | ({"reason": reason} if reason else {})}
        )
        self.view = view
        self._changed()


class _Credentials(CredentialProvider):
    """Reads the password for each connection, so that a rotated secret needs no restart."""

    def __init__(self, user: str | None, password_file: Path) -> None:
        self._user = user
        self._password_file = password_file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = self._password_file.read_text(encoding="utf-8").rstrip("\n")
        return (password,) if self._user is None else (self._user, password)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


def _client(address: Address, settings: RedisSettings, *, connections: int) -> Redis:
    given = _Credentials(settings.user, settings.password_file) if settings.password_file else None
    return Redis(
        connection_pool=ConnectionPool(
            host=address.host,
            port=address.port,
            credential_provider=given,
            max_connections=connections,
            socket_timeout=_CONNECT_TIMEOUT_SECONDS,
            socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            driver_info=None,  # two round trips for each connection
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    )


def _view(role: Any) -> View:
    kind = bytes(role[0])
    if kind == b"master":
        return View(Role.PRIMARY, linked=True)
    return View(Role.REPLICA, linked=kind == b"slave" and bytes(role[3]) == b"connected")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
