"""The writers' and readers' program: it serves the trial that the file `wanted` names, and reads back afterwards."""

import asyncio
import hashlib
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from drills.clock import boot_id
from drills.openloop import Schedule
from drills.reader.session import Readers
from drills.wire import (
    Failed,
    LedgerFile,
    Message,
    Settings,
    Started,
    Stopped,
    WriterName,
    WriterResult,
    print_message,
)
from drills.writer.app import AppTarget
from drills.writer.journal import Journal
from drills.writer.postgres import PostgresTarget
from drills.writer.redis import RedisTarget
from drills.writer.runner import Runner
from drills.writer.target import Contents, Target
from hms.evidence import Present, Reader

WANTED = "wanted"
DONE = "done"
POLL_SECONDS = 0.05
LONGEST_TRIAL_SECONDS = 900.0

STUBBORN_SECONDS = 5.0
"""Longer than a sweep lets a primary stand still: whoever waits is there when it wakes."""
# How long a write may stay under way decides how many there may be: half a second at the databases, six at the app.
IN_FLIGHT_SECONDS: dict[WriterName, float] = {
    "postgres": 1.0, "postgres-stubborn": 2 * STUBBORN_SECONDS, "redis": 1.0, "app": 7.0,
}  # fmt: skip

Emit = Callable[[Message], None]


def make_target(name: WriterName, settings: Settings) -> Target:
    """Return the target of that name."""
    match name:
        case "postgres":
            return PostgresTarget(settings.postgres)
        case "postgres-stubborn":
            return PostgresTarget(settings.postgres, name, patience_seconds=STUBBORN_SECONDS)
        case "redis":
            return RedisTarget(settings.redis)
        case "app":
            return AppTarget(settings.app)


def wanted_trial(directory: Path) -> str:
    """Return the trial that shall be written for; empty for none."""
    try:
        return (directory / WANTED).read_text().strip()
    except FileNotFoundError:
        return ""


def unfinished_trial(directory: Path) -> str:
    """Return a trial that was never read back, because the program died when it should have been; empty for none."""
    folders = sorted(path for path in directory.iterdir() if path.is_dir() and not (path / DONE).exists())
    return next((path.name for path in folders if any(path.glob("*.ledger.jsonl"))), "")


class Session:
    """One trial: a runner and a ledger for each writer, readers beside them, then what each node has.

    Invariant: whatever ends this process, a new one on the same directory continues the same ledgers with keys that
    were never used, as long as `wanted` names the trial.
    """

    def __init__(self, settings: Settings, trial: str, emit: Emit) -> None:
        self._settings = settings
        self._trial = trial
        self._emit = emit
        self._folder = Path(settings.directory) / trial
        self._targets = [make_target(name, settings) for name in settings.rates_per_second]

    @property
    def done(self) -> bool:
        """Whether the trial has been ended and read back."""
        return (self._folder / DONE).exists()

    async def run(self, terminate: asyncio.Event) -> None:
        """Write until `wanted` changes, then read back; on `terminate` stop at once and leave the ledgers."""
        prefix = f"{self._settings.run}-{self._trial}"
        journals = [Journal(self._folder / f"{target.name}.ledger.jsonl") for target in self._targets]
        resumed = any(journal.next_seq for journal in journals)
        readers = Readers(self._settings, self._folder)
        try:
            # One after the other: two that make the same table at once are in each other's way.
            for target, journal in self._pairs(journals):
                await target.prepare(prefix, journal.next_seq)
            self._emit(Started(trial=self._trial, boot_id=boot_id(), at_ns=time.monotonic_ns(), resumed=resumed))
            not_sent = await self._write(journals, readers, terminate)
            if not terminate.is_set():
                await self._read_back(not_sent, readers.told)
        finally:
            for journal in journals:
                journal.close()
            for target in self._targets:
                await target.close()
            await readers.close()

    def _pairs(self, journals: list[Journal]) -> list[tuple[Target, Journal]]:
        return list(zip(self._targets, journals, strict=True))

    async def _write(self, journals: list[Journal], readers: Readers, terminate: asyncio.Event) -> list[int]:
        stop = asyncio.Event()
        start_ns = time.monotonic_ns()
        runners = [
            Runner(
                trial=self._trial,
                target=target,
                journal=journal,
                schedule=Schedule(start_ns, rate := self._settings.rates_per_second[target.name]),
                in_flight_limit=max(16, round(rate * IN_FLIGHT_SECONDS[target.name])),
                report=self._emit,
            )
            for target, journal in self._pairs(journals)
        ]
        watch = asyncio.create_task(self._watch(stop, terminate))
        try:
            async with asyncio.TaskGroup() as group:
                for runner in runners:
                    group.create_task(runner.run(stop))
                newest = {runner.name: runner.newest_acknowledged for runner in runners}
                group.create_task(readers.run(f"{self._settings.run}-{self._trial}", newest, stop))
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        return [runner.not_sent for runner in runners]

    async def _watch(self, stop: asyncio.Event, terminate: asyncio.Event) -> None:
        directory = Path(self._settings.directory)
        deadline = time.monotonic() + LONGEST_TRIAL_SECONDS
        while not terminate.is_set() and wanted_trial(directory) == self._trial and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        stop.set()

    async def _read_back(self, not_sent: list[int], readers: tuple[Reader, ...]) -> None:
        results = await asyncio.gather(
            *(self._result(target, count) for target, count in zip(self._targets, not_sent, strict=True))
        )
        names = sorted(path.name for path in self._folder.glob("*.jsonl"))
        files = tuple(_describe(self._folder / name) for name in names)
        (self._folder / DONE).touch()
        self._emit(
            Stopped(
                trial=self._trial, at_ns=time.monotonic_ns(), results=tuple(results), readers=readers, files=files
            )
        )  # fmt: skip
        await asyncio.gather(*(target.discard() for target in self._targets), return_exceptions=True)

    async def _result(self, target: Target, not_sent: int) -> WriterResult:
        try:
            contents = await target.contents()
        except OSError as error:
            problem = f"{type(error).__name__}: {error}"
            return WriterResult(writer=target.name, nodes=(), authoritative="", not_sent=not_sent, problem=problem)
        self._leave(target.name, contents)
        return WriterResult(
            writer=target.name,
            nodes=tuple(contents.nodes),
            authoritative=contents.authoritative,
            not_sent=not_sent,
            problem="; ".join(contents.unread),
        )

    def _leave(self, writer: WriterName, contents: Contents) -> None:
        for node, keys in contents.nodes.items():
            lines = [msgspec.json.encode(Present(key=key, count=keys[key])) + b"\n" for key in sorted(keys)]
            (self._folder / f"{writer}.present.{node}.jsonl").write_bytes(b"".join(lines))


def _describe(path: Path) -> LedgerFile:
    content = path.read_bytes()
    return LedgerFile(name=path.name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


async def serve(settings: Settings, terminate: asyncio.Event, *, emit: Emit = print_message) -> None:
    """Run a session for each trial that `wanted` comes to name, until `terminate`."""
    directory = Path(settings.directory)
    while not terminate.is_set():
        trial = wanted_trial(directory) or unfinished_trial(directory)
        session = Session(settings, trial, emit) if trial else None
        if session is None or session.done:
            await asyncio.sleep(POLL_SECONDS)
        else:
            await session.run(terminate)


async def run_until_terminated(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code. What ends it is said on stdout in one line."""
    terminate = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, terminate.set)
    try:
        await serve(settings, terminate)
    except (OSError, ExceptionGroup) as error:
        reasons = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
        reason = "; ".join(f"{type(one).__name__}: {one}" for one in reasons)
        print_message(Failed(at_ns=time.monotonic_ns(), reason=reason))
        return 1
    return 0
