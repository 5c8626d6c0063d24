"""The search log: a row for each search that was answered, written in batches behind the requests.

Invariants: `note` neither waits nor raises, whatever the database does. What waits to be written is bounded; beyond
the bound, and where a batch cannot be written in its time, rows are dropped and counted. A batch that is sent twice,
because the outcome of the first try was unknown, is stored once: a row's key is made here, of the time, this process
and a number.

A row says what was looked for and how it went. It has no user, no address and no request's identity.
"""

import asyncio
import logging
from collections import deque
from datetime import UTC, datetime
from secrets import randbits
from time import monotonic

import msgspec
import psycopg

from app.db.connection import Connection
from app.db.router import Router
from app.deadline import Deadline
from app.errors import AppError
from app.metrics import Metrics

_LOG = logging.getLogger("app.db.search_log")

LONGEST_QUERY = 200
"""Characters of a query that are kept; its normal form may have more than was typed."""

_MOST_WAITING = 20_000
_BATCH = 2_000
_INTERVAL_SECONDS = 1.0

_BATCH_SECONDS = 5.0
"""How long a batch is tried, over a failover if need be; then it is dropped."""

_LAST_BATCH_SECONDS = 1.0
"""How long a process that stops tries to write what is left."""

# The batch is one value, of JSON: a tenth of the work for this process that arrays of columns would be.
_INSERT = """
INSERT INTO search_logs (searched_at, instance, number, query, release, hits, duration_ms, matched, cached)
SELECT searched_at, %(instance)s, number, query, release, hits, duration_ms, matched, cached
FROM json_to_recordset(%(batch)s::json) AS batch (
    searched_at timestamptz, number bigint, query text, release text, hits integer, duration_ms real, matched text,
    cached boolean)
ON CONFLICT (searched_at, instance, number) DO NOTHING
"""

_ENCODER = msgspec.json.Encoder()


class Search(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One search that was answered: `matched` is the step of the cascade that found the best hit, or `none`."""

    searched_at: datetime
    number: int
    query: str
    release: str
    hits: int
    duration_ms: float
    matched: str
    cached: bool


class SearchLog:
    """The log of this process. With `on` false, nothing is kept and nothing is written."""

    def __init__(self, router: Router, metrics: Metrics, *, on: bool) -> None:
        self._router = router
        self._rows = metrics.search_log_rows
        metrics.search_log_waiting.set_function(lambda: len(self._waiting))
        self._on = on
        self._waiting: deque[Search] = deque()
        self._instance = randbits(63)
        self._number = 0
        self._writer: asyncio.Task[None] | None = None
        self._failing = False

    async def start(self) -> None:
        """Begin to write; waits for nothing."""
        if self._on:
            self._writer = asyncio.create_task(self._write())

    async def stop(self) -> None:
        """Write what is left, for a second at most, and end."""
        if self._writer is None:
            return
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        self._writer = None
        deadline = Deadline(seconds=_LAST_BATCH_SECONDS)
        while self._waiting:
            await self._write_batch(deadline)

    def note(self, *, query: str, release: str, hits: int, matched: str, cached: bool, began: float) -> None:
        """Write down a search that began at the monotonic time `began` and has just been answered."""
        if not self._on:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._rows.labels("full").inc()
            return
        self._number += 1
        self._waiting.append(
            Search(
                searched_at=datetime.now(UTC),
                number=self._number,
                query=query[:LONGEST_QUERY],
                release=release,
                hits=hits,
                duration_ms=(monotonic() - began) * 1000,
                matched=matched,
                cached=cached,
            )
        )

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            while self._waiting:
                await self._write_batch(Deadline(seconds=_BATCH_SECONDS))

    async def _write_batch(self, deadline: Deadline) -> None:
        batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        try:
            await self._router.write(lambda connection: insert(connection, batch, instance=self._instance), deadline)
        except AppError as error:
            self._dropped(batch, "database", error)
        except psycopg.Error as error:
            # The statement itself failed: no partition for the month, because nobody has tended to them.
            self._dropped(batch, "defect", error)
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))  # the last batch has them, and their keys are what they were
            raise
        else:
            self._failing = False
            self._rows.labels("written").inc(len(batch))

    def _dropped(self, batch: list[Search], reason: str, error: Exception) -> None:
        self._rows.labels(reason).inc(len(batch))
        if not self._failing:
            self._failing = True  # said once, until a batch is written again
            _LOG.warning("searches are not written down", extra={"fields": {"reason": str(error).strip()}})


async def insert(connection: Connection, batch: list[Search], *, instance: int) -> None:
    """Store a batch of one instance; rows that are there already are left as they are."""
    await connection.execute(_INSERT, {"instance": instance, "batch": _ENCODER.encode(batch).decode()})
