"""The current release as this instance knows it: by lease, or by asking for each request while there is none."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from app.db.epoch import Epoch, Sighting
from app.errors import UnavailableError


class Currency:
    """What `app.db.epoch` promises, for one instance.

    `ask` looks at the primary and has what it says learnt; it raises `UnavailableError`.

    Invariant: `epoch` returns what the primary said after the call had begun, or under a lease that held when it began;
    else, and only if the primary cannot be asked, what was known last.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._sighting: Sighting | None = None
        self._source: object = None
        self._asking: asyncio.Task[None] | None = None
        self._asked = 0
        self.epoch: Epoch | None = None

    def learn(self, sighting: Sighting, source: object) -> None:
        """Take what `source`, the primary now, said of itself.

        The fence stays where it was first seen, so that the replicas that have passed it serve. That of another
        primary is taken anew: its log may have parted from the old one's before that point.
        """
        if self._sighting is not None and sighting.asked_at < self._sighting.asked_at and source is self._source:
            return
        if sighting.epoch is not None and (sighting.epoch != self.epoch or source is not self._source):
            self.epoch = sighting.epoch
        self._sighting = sighting
        self._source = source

    def suppose(self, epoch: Epoch | None) -> None:
        """Take what a replica says, while no primary has ever said anything."""
        if self.epoch is None:
            self.epoch = epoch

    @property
    def leased(self) -> bool:
        """Say whether `epoch` may be relied on without asking."""
        return self._sighting is not None and self._sighting.leased

    async def confirmed(self) -> Epoch | None:
        """Return the current epoch, asking the primary if there is no lease."""
        if not self.leased:
            with suppress(UnavailableError):
                await self._ask_anew()
        return self.epoch

    async def _ask_anew(self) -> None:
        """Return when a question that was begun after this call has been answered; many calls share one question."""
        begun = self._asked
        while True:
            if self._asking is None:
                self._asked += 1
                self._asking = asyncio.create_task(self._put_question())
                self._asking.add_done_callback(_look_at)
            number, asking = self._asked, self._asking
            try:
                await asyncio.shield(asking)
            except UnavailableError:
                if number > begun:
                    raise
            if number > begun:
                return

    async def _put_question(self) -> None:
        try:
            await self._ask()
        finally:
            self._asking = None


def _look_at(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waited may be gone; the loop must not report it as never retrieved
