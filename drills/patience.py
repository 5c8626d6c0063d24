"""A bound on how long an answer is waited for."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float, answer: Awaitable[T]) -> T:
    """Return the answer, or raise `TimeoutError` (an `OSError`) when time is up.

    `asyncio.wait_for` is not used: before Python 3.12 it swallows a cancellation that comes together with the answer,
    and a loop around it then never ends.
    """
    async with asyncio.timeout(seconds):
        return await answer
