"""The API keys that were shown lately, so that not every request asks the database for its key.

Invariants:
- A key that is revoked opens nothing `FRESH_SECONDS` later, on no instance; one that expires, at once.
- While the database does not answer, a key that was good lately goes on being good, `STALE_SECONDS` at most.
- Nothing that clients do makes the ring grow beyond `_MOST_KEYS`, or ask the database more than `_MOST_LOOKUPS` times
  at once: made-up keys are remembered, too, and in the same bounds. How many of them one address may have looked up
  is bounded before they come here (`app.middleware.wrong_keys`).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from app.api_keys import ApiKey, digest_of, has_form
from app.deadline import Deadline
from app.errors import TimedOutError, UnavailableError

FRESH_SECONDS = 5.0
STALE_SECONDS = 300.0

_MOST_KEYS = 10_000
_MOST_LOOKUPS = 4
_REFRESH_SECONDS = 0.5
"""How long a request waits for news of a key that it has an answer for."""

_PAUSE_SECONDS = 1.0
"""After a refresh that failed, until the next request tries again."""

Find = Callable[[bytes, Deadline], Awaitable[ApiKey | None]]


@dataclass(slots=True)
class _Kept:
    key: ApiKey | None
    read_at: float
    try_at: float


class KeyRing:
    """Says whose a key is. `find` asks the database, by the digest."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._lookups = asyncio.Semaphore(_MOST_LOOKUPS)
        self._asked: dict[bytes, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def identify(self, shown: str, deadline: Deadline) -> ApiKey | None:
        """Return the good key that `shown` is, or None.

        Raises `UnavailableError` or `TimedOutError` if that cannot be said: the database does not answer, and the key
        was not seen lately.
        """
        if not has_form(shown):
            return None
        digest = digest_of(shown)
        kept = self._kept.get(digest)
        now = monotonic()
        if kept is None or now >= kept.try_at:
            await self._refresh(digest, kept, deadline)
            kept = self._kept[digest]
        if kept.key is None or not kept.key.is_good():
            return None
        return kept.key

    def knows(self, shown: str) -> bool:
        """Say whether `shown` was a good key lately, so that the database need not answer for it now."""
        kept = self._kept.get(digest_of(shown)) if has_form(shown) else None
        return kept is not None and kept.key is not None and monotonic() - kept.read_at < STALE_SECONDS

    def clean_up(self) -> int:
        """Forget what was not confirmed for so long that it serves no more; return how many."""
        now = monotonic()
        old = [digest for digest, kept in self._kept.items() if now - kept.read_at > STALE_SECONDS]
        for digest in old:
            del self._kept[digest]
        return len(old)

    async def _refresh(self, digest: bytes, kept: _Kept | None, deadline: Deadline) -> None:
        """Ask the database, once for all who ask at the same time."""
        usable = kept is not None and monotonic() - kept.read_at < STALE_SECONDS
        patience = min(_REFRESH_SECONDS, deadline.remaining_seconds) if usable else deadline.remaining_seconds
        try:
            task = self._asked.get(digest)
            if task is None:
                task = asyncio.create_task(self._look_up(digest, Deadline(seconds=patience)))
                self._asked[digest] = task
                task.add_done_callback(lambda done: self._answered(digest, done))
            # Shielded: who leaves takes the answer from nobody else.
            async with asyncio.timeout(patience):
                await asyncio.shield(task)
        except (UnavailableError, TimedOutError, TimeoutError) as error:
            if kept is None or not usable:
                raise UnavailableError("the API key cannot be looked up now") from error
            kept.try_at = monotonic() + _PAUSE_SECONDS

    async def _look_up(self, digest: bytes, deadline: Deadline) -> None:
        async with self._lookups:
            key = await self._find(digest, deadline)
        now = monotonic()
        self._kept.pop(digest, None)
        self._kept[digest] = _Kept(key, now, now + FRESH_SECONDS)
        if len(self._kept) > _MOST_KEYS:
            self._kept.popitem(last=False)

    def _answered(self, digest: bytes, task: asyncio.Task[None]) -> None:
        self._asked.pop(digest, None)
        if not task.cancelled():
            task.exception()  # looked at: whoever still waits for it has it, too
