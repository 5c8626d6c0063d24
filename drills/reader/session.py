"""All readers of a trial: made, run beside the writers, and told of in the end."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from drills.openloop import Schedule
from drills.reader.api import Api, ApiReader
from drills.reader.postgres import PostgresReader
from drills.reader.redis import RedisReader
from drills.reader.runner import ReadRunner
from drills.reader.target import Newest, ReadTarget
from drills.records import RecordFile
from drills.wire import Settings, WriterName
from hms.evidence import Reader, ReaderName

# How long one read may take decides how many may be under way: about a second at the databases, three at the app.
IN_FLIGHT_SECONDS = 4.0

WRITERS: dict[ReaderName, Literal["postgres", "redis", "app"]] = {
    "postgres-primary": "postgres", "postgres-replica": "postgres", "redis-primary": "redis", "api-bookmarks": "app",
}  # fmt: skip
"""Whose writes a reader's answers show."""


def make_readers(settings: Settings) -> list[ReadTarget]:
    """Return a reader for each name that has a rate."""
    api = Api(settings.app)
    made: list[ReadTarget] = []
    for name in settings.read_rates_per_second:
        match name:
            case "postgres-primary" | "postgres-replica":
                made.append(PostgresReader(name, settings.postgres))
            case "redis-primary":
                made.append(RedisReader(settings.redis))
            case _:
                made.append(ApiReader(name, api))
    return made


class Readers:
    """The readers of one trial, with their records in `folder`."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._rates = settings.read_rates_per_second
        self._targets = make_readers(settings)
        self._logs = [RecordFile(folder / f"{target.name}.reads.jsonl") for target in self._targets]

    @property
    def told(self) -> tuple[Reader, ...]:
        """What the trial's record says of them."""
        return tuple(
            Reader(name=name, rate_per_second=rate, writer=WRITERS.get(name, "")) for name, rate in self._rates.items()
        )

    async def run(self, prefix: str, newest: Mapping[WriterName, Newest], stop: asyncio.Event) -> None:
        """Read until `stop`; a reader whose writer does not run sees nothing of writes."""
        start_ns = time.monotonic_ns()
        for target in self._targets:
            await target.prepare(prefix)
        async with asyncio.TaskGroup() as group:
            for target, log in zip(self._targets, self._logs, strict=True):
                rate = self._rates[target.name]
                runner = ReadRunner(
                    target=target, log=log, schedule=Schedule(start_ns, rate),
                    in_flight_limit=max(8, round(rate * IN_FLIGHT_SECONDS)),
                    newest=newest.get(WRITERS.get(target.name, "app"), lambda: -1),
                )  # fmt: skip
                group.create_task(runner.run(stop))

    async def close(self) -> None:
        """Close records and connections."""
        for log in self._logs:
            log.close()
        for target in self._targets:
            await target.close()
