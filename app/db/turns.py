"""Whose turn it is at one member: so many at once, the others in order, until they are sent away."""

import asyncio
from collections import deque

from app.errors import SetAsideError


class Turns:
    """At most `most` at once; `wanted` counts those who wait as well.

    Invariant: a turn that is given back goes to the first who waits, or is free; none is lost, whoever is cancelled.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.wanted = 0
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, *, seconds: float) -> None:
        """Take a turn. Raises `TimeoutError` if none came in time, and `SetAsideError` if who waits is sent away."""
        self.wanted += 1
        if self._free and not self._waiting:
            self._free -= 1
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(seconds, _refuse, turn, TimeoutError())
        try:
            await turn
        except asyncio.CancelledError:
            given = turn.done() and not turn.cancelled() and turn.exception() is None
            if given:
                self.give_back()  # it was given in the moment in which its taker left
            else:
                self.wanted -= 1
            raise
        except BaseException:
            self.wanted -= 1
            raise
        finally:
            timer.cancel()

    def give_back(self) -> None:
        """Give a turn back."""
        self.wanted -= 1
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def send_away(self) -> None:
        """Send all who wait away: there is nothing here to wait for."""
        while self._waiting:
            _refuse(self._waiting.popleft(), SetAsideError("the member was set aside"))


def _refuse(turn: asyncio.Future[None], error: Exception) -> None:
    if not turn.done():
        turn.set_exception(error)
