"""Waiting with a bound that holds even if the server hangs."""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

_LATE = 1.5
"""Times the bound that a wait has taken, from which on the fault is this process' own."""

_ABANDONED: set[asyncio.Future[Any]] = set()


async def within(seconds: float, work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """Await `work` for at most `seconds`; then, or if the caller is cancelled, leave it to be cancelled by itself.

    Raises `TimeoutError` at the bound; if this process itself was late by half of it, it did not listen, and the work
    gets as much time once more. A plain `asyncio.timeout` would wait until the cancelled work has ended, and
    psycopg first asks the server to cancel the statement: on a server that hangs, up to 10 s more. The work goes on
    to that end in the background: the statement is cancelled where the server lives, and the connection is closed
    where it does not.
    """
    task = asyncio.ensure_future(work)
    began = monotonic()
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done and monotonic() - began > seconds * _LATE:
            done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        _abandon(task)
        raise
    if not done:
        _abandon(task)
        raise TimeoutError
    return task.result()


def _abandon(task: asyncio.Future[Any]) -> None:
    _ABANDONED.add(task)  # the loop itself holds tasks only weakly
    task.add_done_callback(_forget)
    task.cancel()


def _forget(task: asyncio.Future[Any]) -> None:
    _ABANDONED.discard(task)
    if not task.cancelled():
        task.exception()  # looked at, so that the loop does not report it as never retrieved
