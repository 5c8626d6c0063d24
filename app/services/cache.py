"""The cache: answers kept in Redis for a short time, and never needed.

Invariants:
- An answer is kept by the epoch of the release that it was asked in, which the database counts (`app.db.epoch`). So a
  switch of the release needs nothing of Redis: not that it is there, nor that it keeps what it acknowledged.
- An answer is found only under the versions of its tags that were current before it was computed, and it is computed
  from members of the database that have come to the positions of those versions. So what began before a change and
  ends after it is not found.
- Of all who miss the same answer, on all instances, one computes it, as long as Redis answers: by a flight in the
  process, by a short lock among the processes. Who waits for another instance's lock waits `_PATIENCE_SECONDS` at most,
  then computes and keeps nothing.
- Nothing here raises because of Redis, and a request waits for it `OPERATION_TIMEOUT_SECONDS` at a time at most.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import Enum
from secrets import token_hex
from time import monotonic
from typing import Any

from redis.exceptions import RedisError

from app.db.wal import START, Position
from app.deadline import Deadline
from app.errors import RedisUnavailableError, TimedOutError, UnavailableError
from app.metrics import Metrics
from app.services import scripts
from app.services.freshness import is_due_early, jittered_ms
from app.services.redis_cluster import RedisCluster
from app.services.redis_node import OPERATION_TIMEOUT_SECONDS
from app.services.single_flight import SingleFlight
from app.services.tags import PREFIX, closure, position_of

Compute = Callable[[Position], Awaitable[tuple[bytes, bool]]]
"""Makes an answer from members of the database that have come to a position, and says whether it may be kept."""

ANSWERS = "app:answer:"
LOCKS = "app:lock:"

_LOCK_SECONDS = 2.0
_PATIENCE_SECONDS = 0.25
"""Many times what an answer takes that somebody computes, and a part of a client's patience: whoever has the lock may
be gone, or ask a member that hangs."""

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.05
_MOST_BACKGROUND = 200
"""Answers on their way to Redis at once, and early recomputations; one more is not kept, or not made."""


class Result(Enum):
    """What a look-up came to; off: Redis was not asked, or did not answer."""

    HIT = "hit"
    MISS = "miss"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where an answer is kept, and what it depends on."""

    answer: str
    lock: str
    tags: tuple[str, ...]

    @classmethod
    def of(cls, name: str, epoch: str, tags: Sequence[str]) -> "_Slot":
        place = f"{epoch}:{name}"
        return cls(ANSWERS + place, LOCKS + place, tuple(PREFIX + tag for tag in closure(tags)))


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a claim came to: what is kept after all, else whether this process is the one to compute."""

    stamp: str
    kept: bytes | None
    token: str | None


class Cache:
    """Answers by name. `ttl_seconds` is how long one is kept at most, `timeout_seconds` how long Redis may take."""

    def __init__(
        self,
        redis: RedisCluster,
        *,
        ttl_seconds: float,
        metrics: Metrics,
        timeout_seconds: float = OPERATION_TIMEOUT_SECONDS,
    ) -> None:
        self._redis = redis
        self._timeout_seconds = timeout_seconds
        self._ttl_seconds = ttl_seconds
        self._metrics = metrics
        self._flights: SingleFlight[bytes] = SingleFlight()
        self._background: set[asyncio.Task[None]] = set()

    async def answer(
        self, name: str, compute: Compute, *, epoch: str, tags: Sequence[str], deadline: Deadline
    ) -> tuple[bytes, Result]:
        """Return the answer `name`, as it is kept or as `compute` makes it, and what the look-up came to.

        Raises what `compute` raises; if that was for want of time, who only joined the computation begins it anew, as
        long as there is time until its own `deadline`.
        """
        slot = _Slot.of(name, epoch, tags)
        stamp, kept, left_ms = await self._look_up(slot)
        result = Result.HIT if kept is not None else Result.MISS if stamp is not None else Result.OFF
        self._metrics.cache_lookups.labels(result.value).inc()
        if kept is not None:
            cost_ms, body = _opened(kept)
            if is_due_early(left_ms=left_ms, cost_ms=cost_ms, chance=1 - random.random()):  # noqa: S311 - no secret
                self._refresh(slot, compute)
            return body, result
        # With the stamp, so that who asks after a change does not join a computation from before it.
        flight = f"{slot.answer} {stamp}"
        while True:
            joined = flight in self._flights
            try:
                return await self._flights.join(flight, lambda: self._make(slot, compute)), result
            except (TimedOutError, UnavailableError):
                if not joined or deadline.passed:
                    raise
            finally:
                if joined:
                    self._metrics.cache_shared.labels("flight").inc()

    async def stop(self) -> None:
        """Give up what is on its way to Redis."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _make(self, slot: _Slot, compute: Compute) -> bytes:
        claim = await self._claim(slot)
        patience = Deadline(seconds=_PATIENCE_SECONDS)
        pause = _FIRST_PAUSE_SECONDS
        while claim is not None and claim.kept is None and claim.token is None and not patience.passed:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
            claim = await self._claim(slot)
        if claim is not None and claim.kept is not None:
            self._metrics.cache_shared.labels("lock").inc()
            return _opened(claim.kept)[1]
        return await self._compute(slot, compute, claim)

    async def _compute(self, slot: _Slot, compute: Compute, claim: _Claim | None) -> bytes:
        started = monotonic()
        token = claim.token if claim is not None else None
        try:
            body, keep = await compute(position_of(claim.stamp) if claim is not None else START)
        except BaseException:
            if token is not None:
                self._later(lambda: self._script(scripts.GIVE_UP, [slot.lock], [token]))
            raise
        if token is not None and not keep:
            self._later(lambda: self._script(scripts.GIVE_UP, [slot.lock], [token]))
        elif claim is not None and token is not None:
            cost_ms = (monotonic() - started) * 1000
            ttl_ms = jittered_ms(self._ttl_seconds, random.random())  # noqa: S311 - no secret
            values = [token, claim.stamp, ttl_ms, f"{cost_ms:.3f}\n".encode() + body]
            self._later(lambda: self._script(scripts.KEEP, [slot.answer, slot.lock, *slot.tags], values))
        return body

    def _refresh(self, slot: _Slot, compute: Compute) -> None:
        """Compute anew, in the background, what is still kept, unless somebody does already."""

        async def refreshed() -> None:
            claim = await self._claim(slot, anew=True)
            if claim is not None and claim.token is not None:
                self._metrics.cache_early.inc()
                await self._compute(slot, compute, claim)

        self._later(refreshed)

    async def _look_up(self, slot: _Slot) -> tuple[str | None, bytes | None, int]:
        """Return the stamp that is current (None: Redis is off), what is kept under it, and for how many ms more."""
        keys = [slot.answer, *slot.tags]
        try:
            found = await self._redis.on_replica(
                lambda redis: scripts.LOOK_UP.run(redis, keys), timeout_seconds=self._timeout_seconds
            )
        except (RedisUnavailableError, RedisError):
            return None, None, 0
        stamp, kept, left_ms = found
        return (stamp or b"").decode(), kept, left_ms

    async def _claim(self, slot: _Slot, *, anew: bool = False) -> _Claim | None:
        token = token_hex(8)
        values = [token, round(_LOCK_SECONDS * 1000), int(anew)]
        found = await self._script(scripts.CLAIM, [slot.answer, slot.lock, *slot.tags], values)
        if found is None:
            # It may have been heard all the same: the others would wait for a lock that nobody knows to be his.
            self._later(lambda: self._script(scripts.GIVE_UP, [slot.lock], [token]))
            return None
        stamp, kept, won = found
        return _Claim(stamp.decode(), kept, token if won else None)

    async def _script(self, script: scripts.Script, keys: Sequence[str], values: Sequence[Any]) -> Any:
        """Run a script on the primary; return None if it cannot be run."""
        try:
            return await self._redis.on_primary(
                lambda redis: script.run(redis, keys, values), timeout_seconds=self._timeout_seconds
            )
        except (RedisUnavailableError, RedisError):
            return None

    def _later(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        if len(self._background) >= _MOST_BACKGROUND:
            return
        task = asyncio.create_task(_quietly(work))
        self._background.add(task)
        task.add_done_callback(self._background.discard)


async def _quietly(work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    # What fails here was asked for by nobody: the next one who misses computes, and sees the error if there is one.
    try:
        await work()
    except Exception:
        return


def _opened(kept: bytes) -> tuple[float, bytes]:
    """Return the milliseconds that a kept answer cost, and the answer."""
    _, cost_ms, body = kept.split(b"\n", 2)
    return float(cost_ms), body
