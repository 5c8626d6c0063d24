"""One writer: it sends what the schedule wants, when the schedule wants it, and keeps the ledger."""

import asyncio
import time
from collections.abc import Callable

from drills.openloop import OpenLoop, Schedule
from drills.wire import WriterName, WriterStatus
from drills.writer.journal import Journal
from drills.writer.target import ACKNOWLEDGED, Target, Told
from hms.ledger import Answer, Intent

HEARTBEAT_SECONDS = 0.5
DRAIN_SECONDS = 8.0

Report = Callable[[WriterStatus], None]


class Runner:
    """Sends writes in an open loop and records each one's intent before, and its answer after.

    At most `in_flight_limit` writes are under way; an arrival beyond is not sent, and counted. `report` gets a status
    at each turn from acknowledged to failing and back, and every half second.
    """

    def __init__(
        self, *, trial: str, target: Target, journal: Journal, schedule: Schedule, in_flight_limit: int, report: Report
    ) -> None:
        self._trial = trial
        self._target = target
        self._journal = journal
        self._loop = OpenLoop(schedule, in_flight_limit=in_flight_limit, send=self._send, missed=self._miss)
        self._first_seq = journal.next_seq
        self._report = report
        self._counts = {"acknowledged": 0, "refused": 0, "unknown": 0}
        self._last_acknowledged_sent_ns = 0
        self._last_failed_ns = 0
        self._failing = False
        self.not_sent = 0
        self._newest_acknowledged = -1

    @property
    def name(self) -> WriterName:
        """The writer's name."""
        return self._target.name

    def newest_acknowledged(self) -> int:
        """Return the highest number of an acknowledged write; -1 while there is none."""
        return self._newest_acknowledged

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`, then wait for the answers that are still due; `OSError` where the ledger is full."""
        heartbeat = asyncio.create_task(self._beat())
        try:
            await self._loop.run(stop, drain_seconds=DRAIN_SECONDS)
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)
        self._tell("")

    def _miss(self, _index: int, _due_ns: int) -> None:
        self.not_sent += 1
        self._last_failed_ns = time.monotonic_ns()

    async def _send(self, index: int, due_ns: int) -> None:
        seq = self._first_seq + index
        key = self._target.key(seq)
        sent: list[int] = []

        def begin() -> None:
            sent.append(time.monotonic_ns())
            self._journal.append(Intent(seq=seq, key=key, intended_ns=due_ns, sent_ns=sent[0]))

        told = await self._target.write(key, begin)
        if not sent:
            begin()
            told = Told("refused", told.detail)
        answer = Answer(seq=seq, outcome=told.outcome, done_ns=time.monotonic_ns(), detail=told.detail[:200])
        self._journal.append(answer)
        self._count(told, sent[0])
        if told == ACKNOWLEDGED:
            self._newest_acknowledged = max(self._newest_acknowledged, seq)

    def _count(self, told: Told, sent_ns: int) -> None:
        self._counts[told.outcome] += 1
        failed = told != ACKNOWLEDGED
        if failed:
            self._last_failed_ns = time.monotonic_ns()
        else:
            self._last_acknowledged_sent_ns = max(self._last_acknowledged_sent_ns, sent_ns)
        if failed != self._failing:
            self._failing = failed
            self._tell(told.detail)

    def _tell(self, detail: str) -> None:
        self._report(
            WriterStatus(
                trial=self._trial,
                writer=self._target.name,
                at_ns=time.monotonic_ns(),
                acknowledged=self._counts["acknowledged"],
                refused=self._counts["refused"],
                unknown=self._counts["unknown"],
                not_sent=self.not_sent,
                last_acknowledged_sent_ns=self._last_acknowledged_sent_ns,
                last_failed_ns=self._last_failed_ns,
                detail=detail,
            )
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._tell("")
