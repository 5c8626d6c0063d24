"""The primary, for a command: found by asking every member, and kept at a pace that its replicas can follow."""

import asyncio
import logging

import psycopg
from psycopg.conninfo import make_conninfo

from app.db.connection import Connection, open_at, parameters
from app.deadline import Deadline
from app.errors import UnavailableError
from app.settings import Address, PostgresSettings

_LOG = logging.getLogger("app.db.primary")
_PAUSE_SECONDS = 0.5
_STATEMENT_TIMEOUT_SECONDS = 1800

_UNACKNOWLEDGED_MS = 60_000
"""Of a request it is 2 s, which ends a COPY whose server is busy: what it has not read yet counts as unacknowledged."""

_BEHIND_BYTES = 64 << 20
"""WAL that a replica may have before it: what the stack keeps for one without a slot (`wal_keep_size`)."""

_PACE_PAUSE_SECONDS = 0.1
_PACE_PATIENCE_SECONDS = 60.0


async def writable(settings: PostgresSettings, deadline: Deadline, *, application: str) -> Connection:
    """Return a connection to the member that accepts writes, asking all of them until there is one.

    The server looks every second whether the command still lives, so that what a killed one began does not go on.
    Raises `UnavailableError` that says what each member answered.
    """
    reasons: dict[str, str] = {}
    while True:
        for address in settings.hosts:
            try:
                connection = await _connect(address, settings, application)
            except (psycopg.Error, OSError) as error:
                reason = str(error).splitlines()[0]
            else:
                row = await (await connection.execute("SHOW transaction_read_only")).fetchone()
                if row == ("off",):
                    await connection.execute("SET client_connection_check_interval = '1s'")
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


async def until_replicas_follow(connection: Connection, settings: PostgresSettings) -> None:
    """Wait until each replica that can be reached has replayed all but the last 64 MiB, or for a minute at most.

    A bulk load that runs ahead of a replica makes it stale, and in the end costs it its place in the WAL. The replicas
    are asked themselves, because what the primary knows of them it shows to its monitors only.
    """
    row = await (await connection.execute("SELECT pg_current_wal_lsn()::text")).fetchone()
    assert row is not None
    deadline = Deadline(seconds=_PACE_PATIENCE_SECONDS)
    for address in settings.hosts:
        while (behind := await _behind_bytes(address, settings, str(row[0]))) > _BEHIND_BYTES:
            if deadline.passed:
                fields = {"member": str(address), "behind_mib": behind >> 20}
                _LOG.warning("a replica does not follow, going on", extra={"fields": fields})
                break
            await asyncio.sleep(_PACE_PAUSE_SECONDS)


async def _behind_bytes(address: Address, settings: PostgresSettings, lsn: str) -> int:
    """Return the WAL up to `lsn` that a member has not replayed: 0 for the primary and for one that does not answer."""
    try:
        async with await _connect(address, settings, "hms-load") as connection:
            cursor = await connection.execute(
                "SELECT greatest(0, pg_wal_lsn_diff(%s::pg_lsn, pg_last_wal_replay_lsn())) WHERE pg_is_in_recovery()",
                (lsn,),
            )
            row = await cursor.fetchone()
    except (psycopg.Error, OSError):
        return 0
    return 0 if row is None or row[0] is None else int(row[0])


async def _connect(address: Address, settings: PostgresSettings, application: str) -> Connection:
    text = parameters(address, settings, application=application, statement_timeout_seconds=_STATEMENT_TIMEOUT_SECONDS)
    return await open_at(address, make_conninfo(text, tcp_user_timeout=_UNACKNOWLEDGED_MS))
