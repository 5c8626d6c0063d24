"""Releases that tests store, and ways to store them: in this process, or as a process that can be killed.

`python -m tests.app.releases FILE` is `python -m app.load` for the release in FILE.
"""

import asyncio
import os
import pickle
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import psycopg

from app.db import history, indexing, log_partitions, schema, statistics
from app.db.connection import Connection
from app.db.release import CodeRow, GroupRow, Notes, Release
from app.load import load
from app.logs import configure
from app.settings import from_environment
from hms.bench.processes import Process
from hms.bench.servers import Postgres
from hms.bench.service import clean_environment

T = TypeVar("T")


def small(name: str, *titles: str) -> Release:
    """Return a release of a few codes, one for each title."""
    rows = tuple(
        CodeRow(f"A0{n}", title, (), "category", 1, "A00-A09", None, (), True, Notes())
        for n, title in enumerate(titles)
    )
    groups = (GroupRow("chapter", "1", "Infections"), GroupRow("block", "A00-A09", "Intestinal"))
    return Release(name=name, title=name, codes=rows, groups=groups)


def on_server(server: Postgres, database: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do `work` as the role `app`, alone as a load does it."""

    async def run() -> T:
        connection: Connection = await psycopg.AsyncConnection.connect(
            host=str(server.directory),
            port=server.port,
            user="postgres",
            dbname=database,
            options="-c role=app",
            autocommit=True,
        )
        async with connection, schema.locked(connection):
            return await work(connection)

    return asyncio.run(run())


def store_and_switch(server: Postgres, database: str, release: Release) -> bool:
    """Make the tables if need be, store the release and make it current; return whether anything was changed."""

    async def work(connection: Connection) -> bool:
        async with connection.transaction():
            await schema.migrate(connection)
        await log_partitions.tend(connection, keep_months=12, retired="drop")
        changed = await history.store(connection, release)
        await indexing.build(connection)
        await statistics.refresh(connection)
        return await history.switch(connection, release.name) or changed

    return on_server(server, database, work)


def write(release: Release, name: str, path: Path) -> Path:
    """Write the contents of `release`, under another name, to a file for `start`."""
    path.write_bytes(pickle.dumps(replace(release, name=name)))
    return path


def start(path: Path, **environment: str) -> Process:
    """Load the release of a file that `write` wrote."""
    return Process([sys.executable, "-m", __name__, path], environment=clean_environment(**environment))


if __name__ == "__main__":
    configure()
    asyncio.run(load(from_environment(os.environ), pickle.loads(Path(sys.argv[1]).read_bytes())))
