"""The limits of a client, counted by all instances together in Redis, and by each alone while there is no Redis.

Invariant: with N allowed, N pass, however many instances are asked at once: the decision is one script on one key,
which Redis runs alone, on its own clock. Without Redis, each instance lets its share of every limit through, so the
service is neither open nor closed; a decision costs the time that a call to Redis may take, at most.
A primary of Redis that dies takes with it the counts that no replica had; so many requests more may pass. A full one
may evict a client's counts (they have a time to live): then its limits are whole again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha1
from math import ceil
from pathlib import Path
from time import monotonic_ns
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import RedisUnavailableError
from app.limits import POLICIES, Decision, Limits, State, Tier, decide
from app.metrics import Metrics
from app.problems import Problem
from app.services.redis_cluster import RedisCluster

DECIDE = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
"""The decision, after whatever says what `now` is."""

SCRIPT = "local time = redis.call('TIME')\nlocal now = time[1] * 1000000 + time[2]\n" + DECIDE
_DIGEST = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()

_KEY = "app:limit:1:{%s}"
"""The number is that of the state's form; the braces keep all that is known of a client on one node."""

_TIMEOUT_SECONDS = 0.1
"""For a call, and as much for a connection: longer than a cache is worth, because giving up costs exactness."""

_MOST_AT_ONCE = 200
_MOST_CLIENTS = 20_000
_WINDOWS_SECONDS = {"minute": 60, "hour": 3600}


class Shared:
    """The decisions of Redis.

    Requests that come while a call is on its way go together in the next one: under load that saves most of what a
    call costs this process, and alone nobody waits.
    """

    def __init__(self, redis: RedisCluster) -> None:
        self._redis = redis
        self._waiting: list[_Ask] = []
        self._sender: asyncio.Task[None] | None = None

    async def decide(self, client: str, limits: Limits) -> Decision:
        """Decide on one request. Raises `RedisUnavailableError`."""
        arguments = (limits.burst, limits.interval_us, limits.per_minute, limits.per_hour)
        ask = _Ask(_KEY % client, arguments)
        self._waiting.append(ask)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        return Decision.of(await ask.answer)

    async def _send(self) -> None:
        try:
            while self._waiting:
                asks, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                try:
                    answers = await self._redis.on_primary(partial(_run, asks=asks), timeout_seconds=_TIMEOUT_SECONDS)
                except (RedisUnavailableError, RedisError) as error:
                    answers = [error] * len(asks)
                for ask, answer in zip(asks, answers, strict=True):
                    ask.settle(answer)
        finally:
            self._sender = None
            for ask in self._waiting:
                ask.settle(RedisUnavailableError("the call to Redis was given up"))


@dataclass(slots=True)
class _Ask:
    key: str
    arguments: tuple[int, int, int, int]
    answer: asyncio.Future[list[int]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, answer: Any) -> None:
        if self.answer.done():
            return  # its request has ended meanwhile
        if isinstance(answer, Exception):
            error = RedisUnavailableError(f"Redis did not decide: {answer}")
            self.answer.set_exception(answer if isinstance(answer, RedisUnavailableError) else error)
        else:
            self.answer.set_result(answer)


async def _run(client: Redis, asks: list[_Ask]) -> list[Any]:
    answers = await _pipelined(client, asks, ("EVALSHA", _DIGEST))
    if any(isinstance(answer, NoScriptError) for answer in answers):
        # A Redis that was started anew knows no script; the first that is told of it knows it for all.
        answers = await _pipelined(client, asks, ("EVAL", SCRIPT))
    return answers


async def _pipelined(client: Redis, asks: list[_Ask], command: tuple[str, str]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for ask in asks:
        pipeline.execute_command(*command, 1, ask.key, *ask.arguments)
    return list(await pipeline.execute(raise_on_error=False))


class Local:
    """The decisions of this instance alone, for its share of the limits; of the clients that were here last."""

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self._states: OrderedDict[str, State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def decide(self, client: str, limits: Limits) -> Decision:
        """Decide on one request."""
        state = self._states.pop(client, State())
        self._states[client], decision = decide(state, limits.share(self._instances), _now_us())
        if len(self._states) > _MOST_CLIENTS:
            self._states.popitem(last=False)
        return decision

    def clean_up(self) -> int:
        """Forget the clients whose limits are whole again; return how many."""
        now_us = _now_us()
        whole = [
            client
            for client, state in self._states.items()
            if state.full_at_us <= now_us and not decide(state, Limits(1, 1, 1), now_us)[1].retry_after_us
        ]
        for client in whole:
            del self._states[client]
        return len(whole)


def _now_us() -> int:
    return monotonic_ns() // 1000


class RateLimit:
    """Counts each request against its client's limits; refuses (429) what is beyond, and says how much is left.

    The client is `hms.identity` of the scope. Paths in `free` are not counted.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        shared: Shared,
        local: Local,
        tiers: Mapping[Tier, Limits],
        free: frozenset[str],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._shared = shared
        self._local = local
        self._tiers = tiers
        self._free = free
        self._policies = {tier: _policy(limits).encode() for tier, limits in tiers.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or say when to come again."""
        if scope["type"] != "http" or scope["path"] in self._free:
            await self._app(scope, receive, send)
            return
        identity = scope["hms.identity"]
        tier: Tier = identity.tier
        decision = await self._decide(identity.client, self._tiers[tier])
        headers = [(b"ratelimit-policy", self._policies[tier]), (b"ratelimit", _state(decision).encode())]

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        if decision.allowed:
            await self._app(scope, receive, counted)
            return
        violated = _violated(decision)
        self._metrics.limited.labels(tier.value, violated).inc()
        problem = _refusal(tier, self._tiers[tier], violated, decision)
        await problem.response(scope["hms.request_id"])(scope, receive, counted)

    async def _decide(self, client: str, limits: Limits) -> Decision:
        try:
            decision = await self._shared.decide(client, limits)
        except RedisUnavailableError:
            self._metrics.limit_decisions.labels("alone").inc()
            return self._local.decide(client, limits)
        self._metrics.limit_decisions.labels("shared").inc()
        return decision


def _policy(limits: Limits) -> str:
    burst_seconds = max(1, ceil(limits.burst * limits.interval_us / 1_000_000))
    return (
        f'"burst";q={limits.burst};w={burst_seconds}, "minute";q={limits.per_minute};w=60, '
        f'"hour";q={limits.per_hour};w=3600'
    )


def _state(decision: Decision) -> str:
    return ", ".join(
        f'"{name}";r={remaining};t={ceil(reset_us / 1_000_000)}'
        for name, remaining, reset_us in zip(POLICIES, decision.remaining, decision.reset_us, strict=True)
    )


def _violated(decision: Decision) -> str:
    """Name the limit that is used up, the longest one if several are."""
    return next(
        name for name, remaining in reversed([*zip(POLICIES, decision.remaining, strict=True)]) if remaining <= 0
    )


def _refusal(tier: Tier, limits: Limits, violated: str, decision: Decision) -> Problem:
    bound = {
        "burst": f"{limits.burst} requests at once",
        "minute": f"{limits.per_minute} requests a minute",
        "hour": f"{limits.per_hour} requests an hour",
    }[violated]
    seconds = ceil(decision.retry_after_us / 1_000_000)
    advice = "; a request with an API key has limits of its own" if tier is Tier.ANONYMOUS else ""
    return Problem(
        429,
        "rate-limited",
        "Too many requests",
        detail=f"the tier {tier.value} allows {bound}; the next one is allowed in {seconds} s{advice}",
        retry_after_seconds=seconds,
    )
