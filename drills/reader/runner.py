"""One reader: it asks when the schedule wants it, whatever became of the questions before."""

import asyncio
import time

from drills.reader.log import ReadLog
from drills.reader.target import Newest, ReadTarget, failed
from drills.writer.schedule import Schedule, until_due
from hms.reads import Read

DRAIN_SECONDS = 4.0
LONGEST_DETAIL = 120


class ReadRunner:
    """Reads in an open loop and records each read when it has ended.

    At most `in_flight_limit` are under way; one that is due beyond that is on record as failed, unsent.
    """

    def __init__(
        self, *, target: ReadTarget, log: ReadLog, schedule: Schedule, in_flight_limit: int, newest: Newest
    ) -> None:
        self._target = target
        self._log = log
        self._schedule = schedule
        self._in_flight_limit = in_flight_limit
        self._newest = newest
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Read until `stop`, then wait for what is under way; `OSError` where the record's volume is full."""
        index = 0
        try:
            while not stop.is_set():
                due_ns = self._schedule.due_ns(index)
                await until_due(due_ns, stop)
                if stop.is_set():
                    break
                self._raise_failures()
                if len(self._under_way) < self._in_flight_limit:
                    self._under_way.add(asyncio.create_task(self._read(due_ns)))
                else:
                    late_ns = max(0, time.monotonic_ns() - due_ns)
                    self._log.append(Read(due_ns, late_ns, 0, ok=False, attempts=0, detail="too many under way"))
                index += 1
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=DRAIN_SECONDS)
            self._raise_failures()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _read(self, due_ns: int) -> None:
        sent_ns = max(due_ns, time.monotonic_ns())
        try:
            found = await self._target.read(self._newest)
        except asyncio.CancelledError:
            found = failed("no answer when the trial ended")
        took_ns = time.monotonic_ns() - sent_ns
        self._log.append(
            Read(due_ns, sent_ns - due_ns, took_ns, found.ok, found.seen, found.attempts, found.detail[:LONGEST_DETAIL])
        )

    def _raise_failures(self) -> None:
        """Forget the reads that ended; one that could not be recorded ends the reader."""
        ended = {task for task in self._under_way if task.done()}
        self._under_way -= ended
        for task in ended:
            task.result()
