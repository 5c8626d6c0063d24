"""`python -m app.load`: make the tables and load the release, once.

Waits for a writable primary, within `HMS_LOAD_WAIT_SECONDS`, and says what it waits for. Everything happens in one
transaction under one lock: a second run of the same release changes nothing and says so, two at once are one, and a
crash in the middle leaves what was there. Exit code 0, 1 if it failed, 2 for bad settings.
"""

import asyncio
import logging
import os
import resource
import sys
from time import monotonic

import psycopg

from app.db import release as releases
from app.db import schema
from app.db.connection import Connection, connect, is_members_fault
from app.deadline import Deadline
from app.errors import AppError, SettingsError, UnavailableError
from app.logs import configure
from app.settings import PostgresSettings, Settings, from_environment

_LOG = logging.getLogger("app.load")
_PAUSE_SECONDS = 0.5
_STATEMENT_TIMEOUT_SECONDS = 600


async def load(settings: Settings) -> bool:
    """Load the packaged release; return False if it was the current one already.

    If the primary is lost meanwhile, the transaction is gone as a whole: it is begun again, until
    `settings.load_wait_seconds` have passed. Raises `AppError` and `psycopg.Error`.
    """
    started = monotonic()
    deadline = Deadline(seconds=settings.load_wait_seconds)
    connection = await _writable(settings.postgres, deadline)
    release = releases.read_packaged()
    releases.check(release, releases.APRIL_2026)
    _say("release read and checked", started, release=release.name, codes=len(release.codes))
    while True:
        try:
            async with connection:
                changed = await _apply(connection, release, started)
        except psycopg.Error as error:
            if deadline.passed or not is_members_fault(error):
                raise
            _LOG.warning("the primary was lost, once more", extra={"fields": {"reason": str(error).strip()}})
            await asyncio.sleep(_PAUSE_SECONDS)
            connection = await _writable(settings.postgres, deadline)
        else:
            break
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    message = "release loaded and current" if changed else "release was current already, nothing changed"
    _say(message, started, release=release.name, codes=len(release.codes), peak_mib=peak_mib)
    return changed


async def _apply(connection: Connection, release: releases.Release, started: float) -> bool:
    async with connection.transaction():
        await schema.lock(connection)
        for migration in await schema.migrate(connection):
            _say("migration applied", started, version=migration.version, name=migration.name)
        changed = await releases.make_current(connection, release)
    if changed:
        # Sets the visibility map; outside the transaction because VACUUM must be, and nothing is wrong without it.
        await connection.execute("VACUUM icd10_codes")
    return changed


async def _writable(settings: PostgresSettings, deadline: Deadline) -> Connection:
    """Return a connection to the member that accepts writes, asking all of them until there is one."""
    reasons: dict[str, str] = {}
    while True:
        for address in settings.hosts:
            try:
                connection = await connect(
                    address, settings, application="hms-load", statement_timeout_seconds=_STATEMENT_TIMEOUT_SECONDS
                )
            except (psycopg.Error, OSError) as error:
                reason = str(error).splitlines()[0]
            else:
                row = await (await connection.execute("SHOW transaction_read_only")).fetchone()
                if row == ("off",):
                    _LOG.info("primary found", extra={"fields": {"member": str(address)}})
                    return connection
                await connection.close()
                reason = "accepts no writes"
            if reasons.get(str(address)) != reason:
                reasons[str(address)] = reason
                _LOG.info(
                    "waiting for a writable primary", extra={"fields": {"member": str(address), "reason": reason}}
                )
        if deadline.passed:
            seen = "; ".join(f"{member}: {reason}" for member, reason in reasons.items())
            raise UnavailableError(f"no writable primary within HMS_LOAD_WAIT_SECONDS: {seen}")
        await asyncio.sleep(min(_PAUSE_SECONDS, deadline.remaining_seconds))


def _say(message: str, started: float, **fields: object) -> None:
    _LOG.info(message, extra={"fields": {**fields, "elapsed_seconds": round(monotonic() - started, 2)}})


def main() -> int:
    """Run the command; return its exit code."""
    configure()
    try:
        asyncio.run(load(from_environment(os.environ)))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except AppError as error:
        _LOG.error(str(error))
        return error.exit_code
    except psycopg.Error as error:
        _LOG.error("loading failed, nothing was changed: %s", str(error).strip())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
