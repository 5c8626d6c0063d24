"""From the workers' records to the run's: what hangs on Locust's events.

Every worker sends its record with its report to the master once none of its streams runs; what it sends is the whole
account and replaces what it sent before, so that nothing counts twice. The master adds them up when every stream has
ended, prints the `LoadRun` as one line, and quits. A worker that is lost ends the run with an error: a figure of
which a part is missing is not a figure.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import gevent
import locust.runners
import msgspec
from locust import events
from locust.env import Environment
from locust.event import EventHook
from locust.runners import LocalRunner, MasterRunner, Runner, WorkerRunner

from hms.evidence import LoadRun
from loadtests.account import LatestRecords
from loadtests.options import StreamOptions, add_arguments, stream_options
from loadtests.plan import RESULT_MARKER
from loadtests.reach import await_reach
from loadtests.recorder import Recorder, WorkerRecord

REPORT_KEY = "hms_load"
WATCH_SECONDS = 0.5
GRACE_SECONDS = 45.0
"""Beyond the streams' own length: requests in flight end within 10 s, reports come each second."""

logger = logging.getLogger("hms.load")


class StreamBook:
    """The streams of this process and the account that they share."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.on_ended: Callable[[], None] = lambda: None
        self.begin()

    def begin(self) -> None:
        """Start a new account; Locust may run test after test."""
        self.recorder = Recorder()
        self.started = 0
        self.ended = 0
        self.completed = 0
        self._began_at = self._ended_at = time.monotonic()
        self._began_cpu = self._ended_cpu = time.process_time()

    def next_stream(self) -> str:
        """Return the name of a stream that begins: it is the same in every run of the same shape."""
        if self.started == 0:
            self._began_at, self._began_cpu = time.monotonic(), time.process_time()
        self.started += 1
        runner = self._environment.runner
        index = runner.worker_index if isinstance(runner, WorkerRunner) else 0
        return f"{index}.{self.started}"

    def stream_ended(self, *, completed: bool) -> None:
        """Count a stream that is over; `completed` unless it was stopped before its time."""
        self.ended += 1
        self.completed += completed
        self._ended_at, self._ended_cpu = time.monotonic(), time.process_time()
        self.on_ended()

    @property
    def idle(self) -> bool:
        """Whether streams have run and none runs now."""
        return 0 < self.started == self.ended

    def record(self) -> WorkerRecord:
        """Return this process's account."""
        wall_seconds = self._ended_at - self._began_at
        cpu_seconds = self._ended_cpu - self._began_cpu
        return self.recorder.record(
            streams_completed=self.completed, cpu_fraction=cpu_seconds / wall_seconds if wall_seconds > 0 else 0.0
        )


class Master:
    """The side that adds up: in the master of a distributed run, or in the one process of a local run."""

    def __init__(self, environment: Environment, runner: Runner) -> None:
        self._environment = environment
        self._runner = runner
        self._records = LatestRecords()
        self._done = False

    def begin(self) -> None:
        """Forget the last test's records and watch over the new one."""
        self._records = LatestRecords()
        self._done = False
        options = stream_options(self._environment)
        if options.scenario:
            gevent.spawn(self._watch, options, time.monotonic())

    def receive(self, worker: str, record: WorkerRecord) -> None:
        """Take a worker's account; it replaces that worker's earlier one."""
        self._records.put(worker, record)

    def summary(self) -> str:
        """Return what Locust's own statistics do not know."""
        run = self._load_run()
        return (
            f"arrivals: {run.intended} intended, {run.sent} sent, {run.dropped} dropped; "
            f"busiest worker: {run.generator.cpu_fraction:.0%} of one CPU"
        )

    def _load_run(self) -> LoadRun:
        return self._records.merged(stream_options(self._environment))

    def _watch(self, options: StreamOptions, began_at: float) -> None:
        limit_seconds = (options.seconds or math.inf) + GRACE_SECONDS
        while not self._done:
            gevent.sleep(WATCH_SECONDS)
            completed = self._records.streams_completed
            if completed >= options.streams:
                self._finish(msgspec.json.encode(self._load_run()).decode())
            elif (lost := self._lost_workers(options.workers)) > 0:
                self._abort(f"{lost} of {options.workers} workers lost before the run was over")
            elif time.monotonic() - began_at > limit_seconds:
                self._abort(f"{completed} of {options.streams} streams ended within {limit_seconds:g} s")

    def _lost_workers(self, expected: int) -> int:
        if not isinstance(self._runner, MasterRunner):
            return 0
        present = [c for c in self._runner.clients.all if c.state != locust.runners.STATE_MISSING]
        return expected - len(present)

    def _finish(self, line: str) -> None:
        self._done = True
        print(f"{RESULT_MARKER}{line}", flush=True)
        # What the requests met is for the claims to judge; the run itself is complete.
        self._environment.process_exit_code = 0
        gevent.spawn(self._runner.quit)

    def _abort(self, reason: str) -> None:
        self._done = True
        logger.error("load run given up: %s", reason)
        self._environment.process_exit_code = 1
        gevent.spawn(self._runner.quit)


def _listen(hook: EventHook, handler: Callable[..., None]) -> None:
    hook.add_listener(handler)  # type: ignore[no-untyped-call]  # Locust leaves this one untyped


def _on_init(environment: Environment, runner: Runner, **_: Any) -> None:
    book = StreamBook(environment)
    environment.hms_load = book  # type: ignore[attr-defined]  # Locust's way to hang one's own on an environment
    if isinstance(runner, WorkerRunner):
        _wire_worker(environment, book)
        return
    master = Master(environment, runner)

    def begin(**_: Any) -> None:
        book.begin()
        master.begin()

    def receive(client_id: str, data: dict[str, Any], **_: Any) -> None:
        if REPORT_KEY in data:
            master.receive(client_id, msgspec.json.decode(data[REPORT_KEY], type=WorkerRecord))

    def local_stream_ended() -> None:
        if book.idle:
            master.receive("local", book.record())

    def say(**_: Any) -> None:
        logger.info(master.summary())

    _listen(environment.events.test_start, begin)
    _listen(environment.events.worker_report, receive)
    _listen(environment.events.quitting, say)
    if isinstance(runner, LocalRunner):
        book.on_ended = local_stream_ended


def _wire_worker(environment: Environment, book: StreamBook) -> None:
    def begin(**_: Any) -> None:
        if environment.host and not await_reach(environment.host):
            logger.warning("the app is not reached on every connection; the load begins all the same")
        book.begin()

    def report(client_id: str, data: dict[str, Any], **_: Any) -> None:
        if book.idle:
            data[REPORT_KEY] = msgspec.json.encode(book.record())

    # Three seconds, Locust's own, is long to wait for the end of a run.
    locust.runners.WORKER_REPORT_INTERVAL = 1.0
    _listen(environment.events.test_start, begin)
    _listen(environment.events.report_to_master, report)


def register() -> None:
    """Hang the open loop's options and accounts on Locust's events; once, from a locustfile."""
    _listen(events.init_command_line_parser, add_arguments)
    _listen(events.init, _on_init)
