"""`python -m app.load`: make the tables, and store, index and switch releases.

| command | what it does |
|---|---|
| `python -m app.load` | stores the packaged release beside the others and makes it the current one |
| `python -m app.load --switch NAME` | makes a release that is stored the current one: the way back |
| `python -m app.load --generate ROWS` | makes a history of that many rows at least, of the current release |
| `python -m app.load --list` | lists the releases that are stored |

Waits for a writable primary, within `HMS_LOAD_WAIT_SECONDS`, and says what it waits for. Only one at a time works; a
second run of the same changes nothing and says so. Each step ends in a transaction of its own: what is cut off leaves
what was there before the step, and the next run goes on from there. Reads and bookmarks go on all the time. Nobody has
to be told of a switch: how every instance knows of it at once is in `app.db.epoch`. Exit code 0, 1 if it failed, 2 for
bad settings or arguments.
"""

import argparse
import asyncio
import logging
import os
import resource
import sys
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

import psycopg
from psycopg.errors import UndefinedTable

from app.db import history, indexing, schema, statistics
from app.db import release as releases
from app.db.connection import Connection, is_members_fault
from app.db.generate import generate
from app.db.maintenance import tend_alone
from app.db.primary import until_replicas_follow, writable
from app.deadline import Deadline
from app.errors import AppError, ClockError, ReleaseError, SettingsError
from app.logs import configure
from app.settings import Settings, from_environment

_LOG = logging.getLogger("app.load")
_PAUSE_SECONDS = 0.5

Work = Callable[[Connection], Awaitable[None]]


async def load_packaged(settings: Settings) -> bool:
    """Read and check the release that the package carries, and `load` it."""
    started = monotonic()
    release = await asyncio.to_thread(releases.read_packaged)
    releases.check(release, releases.APRIL_2026)
    _say("release read and checked", started, release=release.name, codes=len(release.codes))
    return await load(settings, release)


async def load(settings: Settings, release: releases.Release) -> bool:
    """Store `release` beside the others and make it the current one; return False if nothing had to be changed.

    Raises `AppError` and `psycopg.Error`.
    """
    started = monotonic()
    changed = False

    async def work(connection: Connection) -> None:
        nonlocal changed
        changed |= await prepare(connection, settings, started)
        if await history.store(connection, release):
            changed = True
            _say("release stored", started, release=release.name)
        changed |= await _finish(connection, started)
        changed |= await _make_current(connection, release.name, started)

    await _on_primary(settings, work)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    message = "release loaded and current" if changed else "release was current already, nothing changed"
    _say(message, started, release=release.name, codes=len(release.codes), peak_mib=peak_mib)
    return changed


async def switch(settings: Settings, name: str) -> bool:
    """Make a stored release the current one; return False if it was. Raises `AppError` and `psycopg.Error`."""
    started = monotonic()
    changed = False

    async def work(connection: Connection) -> None:
        nonlocal changed
        await prepare(connection, settings, started)
        await _finish(connection, started)
        changed |= await _make_current(connection, name, started)

    await _on_primary(settings, work)
    _say("release is current" if changed else "release was current already, nothing changed", started, release=name)
    return changed


async def generate_history(settings: Settings, rows: int) -> None:
    """Store generated releases until there are `rows` rows at least. Raises `AppError` and `psycopg.Error`."""
    started = monotonic()

    async def work(connection: Connection) -> None:
        await prepare(connection, settings, started)
        begun = monotonic()
        count = 0
        async for made in generate(connection, rows=rows):
            count += made.codes
            rate = round(count / (monotonic() - begun))
            _say("release generated", started, release=made.name, rows=made.rows, rows_per_second=rate)
            await until_replicas_follow(connection, settings.postgres)
        await _finish(connection, started)
        if count:
            await connection.execute("VACUUM (ANALYZE, TRUNCATE off) icd10_codes")
        _say("history is there", started, generated_rows=count)

    await _on_primary(settings, work)


async def stored(settings: Settings) -> tuple[history.Stored, ...]:
    """Return the releases in the database. Raises `AppError` and `psycopg.Error`."""
    found: tuple[history.Stored, ...] = ()

    async def work(connection: Connection) -> None:
        nonlocal found
        try:
            found = await history.stored(connection)
        except UndefinedTable as error:
            raise ReleaseError("there are no tables yet: run `python -m app.load` first") from error

    await _on_primary(settings, work, alone=False)
    return found


async def prepare(connection: Connection, settings: Settings, started: float) -> bool:
    """Bring the tables to what this version needs; return whether anything was done."""
    async with connection.transaction():
        applied = await schema.migrate(connection)
    for migration in applied:
        _say("migration applied", started, version=migration.version, name=migration.name)
    return await _tend_to_log(connection, settings, started) or bool(applied)


async def _tend_to_log(connection: Connection, settings: Settings, started: float) -> bool:
    """Make and retire partitions of the search log, unless an instance does; return whether anything was done.

    Where the clocks disagree nothing is, and the load goes on: the release does not depend on what time it is.
    """
    try:
        tended = await tend_alone(connection, settings.search_log)
    except ClockError as error:
        _LOG.warning("the search log is not tended to: %s", error)
        return False
    if tended is None:
        _say("the search log is tended to by an instance of the service", started)
        return False
    if tended.changed:
        _say("partitions of the search log", started, made=list(tended.made), retired=list(tended.retired))
    return tended.changed


async def _finish(connection: Connection, started: float) -> bool:
    """Build what is missing behind the rows, before anybody reads them; return whether anything was."""
    built = await indexing.build(connection)
    if built:
        _say("indexes built", started, indexes=list(built))
    counted = await statistics.refresh(connection)
    if counted:
        _say("statistics refreshed", started)
    return bool(built) or counted


async def _make_current(connection: Connection, name: str, started: float) -> bool:
    begun = monotonic()
    if not await history.switch(connection, name):
        return False
    _say("release switched", started, release=name, seconds=round(monotonic() - begun, 2))
    # Sets the visibility map and counts anew; no truncation, whose lock a replica's readers would wait for.
    await connection.execute("VACUUM (ANALYZE, TRUNCATE off) icd10_codes")
    return True


async def _on_primary(settings: Settings, work: Work, *, alone: bool = True) -> None:
    """Do `work`, alone unless said otherwise, on the primary; begin again where that one was lost meanwhile.

    The first wait and the later ones together last for `settings.load_wait_seconds`, after which a loss is raised.
    """
    deadline = Deadline(seconds=settings.load_wait_seconds)
    while True:
        connection = await writable(settings.postgres, deadline, application="hms-load")
        try:
            async with connection:
                if alone:
                    async with schema.locked(connection, waiting=lambda: _LOG.info("waiting for another load")):
                        await work(connection)
                else:
                    await work(connection)
        except psycopg.Error as error:
            if deadline.passed or not is_members_fault(error):
                raise
            _LOG.warning("the primary was lost, once more", extra={"fields": {"reason": str(error).strip()}})
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


def _say(message: str, started: float, **fields: object) -> None:
    _LOG.info(message, extra={"fields": {**fields, "elapsed_seconds": round(monotonic() - started, 2)}})


def _table(found: tuple[history.Stored, ...]) -> str:
    lines = [f"{'current':8}{'codes':>9}  {'loaded (UTC)':18}release"]
    for release in found:
        mark, at = "*" if release.active else "", f"{release.loaded_at:%Y-%m-%d %H:%M}"
        lines.append(f"{mark:8}{release.codes:>9}  {at:18}{release.name}")
    return "\n".join(lines)


def _rows(text: str) -> int:
    rows = int(text.replace("_", "").replace(",", "")) if text.isascii() else 0
    if not 1 <= rows <= 100_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of rows from 1 to 100,000,000")
    return rows


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.load", description="Load the release, or tend to the others.")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--switch", metavar="NAME", help="make a stored release the current one")
    group.add_argument(
        "--generate",
        metavar="ROWS",
        type=_rows,
        help="make a history of this many rows at least (a row takes half a kilobyte, and more than that of WAL)",
    )
    group.add_argument("--list", action="store_true", help="list the releases that are stored")
    return parser.parse_args(arguments)


async def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    if arguments.list:
        print(_table(await stored(settings)))
    elif arguments.switch is not None:
        await switch(settings, arguments.switch)
    elif arguments.generate is not None:
        await generate_history(settings, arguments.generate)
    else:
        await load_packaged(settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parsed = _arguments(sys.argv[1:] if arguments is None else arguments)
    configure()
    try:
        asyncio.run(_run(parsed, from_environment(os.environ)))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except AppError as error:
        _LOG.error(str(error))
        return error.exit_code
    except psycopg.Error as error:
        _LOG.error("the step that failed changed nothing: %s", str(error).strip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
