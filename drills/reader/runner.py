"""One reader: it asks when the schedule wants it, whatever became of the questions before."""

import asyncio
import time

from drills.openloop import OpenLoop, Schedule
from drills.reader.target import Newest, ReadTarget, failed
from drills.records import RecordFile
from hms.reads import Read

DRAIN_SECONDS = 4.0
LONGEST_DETAIL = 120


class ReadRunner:
    """Reads in an open loop and records each read when it has ended.

    At most `in_flight_limit` are under way; one that is due beyond that is on record as failed, unsent.
    """

    def __init__(
        self, *, target: ReadTarget, log: RecordFile, schedule: Schedule, in_flight_limit: int, newest: Newest
    ) -> None:
        self._target = target
        self._log = log
        self._loop = OpenLoop(schedule, in_flight_limit=in_flight_limit, send=self._read, missed=self._miss)
        self._newest = newest

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`, then wait for what is under way; `OSError` where the record's volume is full."""
        await self._loop.run(stop, drain_seconds=DRAIN_SECONDS)

    def _miss(self, _index: int, due_ns: int) -> None:
        late_ns = max(0, time.monotonic_ns() - due_ns)
        self._log.append(Read(due_ns, late_ns, 0, ok=False, attempts=0, detail="too many under way"))

    async def _read(self, _index: int, due_ns: int) -> None:
        sent_ns = max(due_ns, time.monotonic_ns())
        try:
            found = await self._target.read(self._newest)
        except asyncio.CancelledError:
            found = failed("no answer when the trial ended")
        took_ns = time.monotonic_ns() - sent_ns
        self._log.append(
            Read(due_ns, sent_ns - due_ns, took_ns, found.ok, found.seen, found.attempts, found.detail[:LONGEST_DETAIL])
        )
