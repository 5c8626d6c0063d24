"""How many keys that open nothing an address showed lately; beyond a bound nobody looks at what it shows.

Invariants:
- Of one address, `AT_ONCE` keys that open nothing are looked at, and one more every `SECONDS_EACH`, however many
  requests show them at the same time: an address has its keys looked up one after the other. What is beyond is compared
  with nothing, so that neither the administrator's key can be tried nor the database be kept at work.
- What is kept has a bound, `_MOST_ADDRESSES`, and each instance keeps its own: no call to anybody is needed to refuse.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from time import monotonic
from weakref import WeakValueDictionary

from app.deadline import Deadline
from app.errors import UnavailableError
from app.problems import Problem

AT_ONCE = 30
SECONDS_EACH = 6.0

_MOST_ADDRESSES = 20_000


class WrongKeys:
    """A bucket of tries for each address. Kept of one is the time at which all its tries are there again."""

    def __init__(self) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()
        # A lock goes with the last request that holds it or waits for it.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._full_at)

    def check(self, address: str) -> None:
        """Raise a `Problem` (429) that says when to come again if the address has no try left."""
        full_at = self._full_at.get(address)
        if full_at is None:
            return
        seconds = ceil(full_at - (AT_ONCE - 1) * SECONDS_EACH - monotonic())
        if seconds > 0:
            raise Problem(
                429,
                "wrong-keys",
                "Too many keys that open nothing",
                detail=f"of one address {AT_ONCE} keys that open nothing are looked at, and one more every "
                f"{SECONDS_EACH:g} s; the next one in {seconds} s; without a key, ask anonymously",
                retry_after_seconds=seconds,
            )

    def count(self, address: str) -> None:
        """Take a try from the address."""
        self._full_at[address] = max(monotonic(), self._full_at.pop(address, 0.0)) + SECONDS_EACH
        if len(self._full_at) > _MOST_ADDRESSES:
            self._full_at.popitem(last=False)

    def give_back(self, address: str) -> None:
        """Give the address a try back: its key was good, or could not be judged."""
        if address in self._full_at:
            self._full_at[address] -= SECONDS_EACH

    def clean_up(self) -> int:
        """Forget the addresses that have all their tries again; return how many."""
        now = monotonic()
        whole = [address for address, full_at in self._full_at.items() if full_at <= now]
        for address in whole:
            del self._full_at[address]
        return len(whole)

    @asynccontextmanager
    async def turn(self, address: str, deadline: Deadline) -> AsyncIterator[None]:
        """Let one request of an address after the other through. Raises `UnavailableError` at the deadline."""
        lock = self._turns.get(address)
        if lock is None:
            lock = self._turns[address] = asyncio.Lock()
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                await lock.acquire()
        except TimeoutError as error:
            raise UnavailableError("the API key cannot be looked up now: others of its address wait, too") from error
        try:
            yield
        finally:
            lock.release()
