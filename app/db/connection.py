"""One connection to one member: how it is opened, and which failures mean what.

Timers are short because there is always another member to ask: a silent peer is given up after 2 s by the kernel
(`tcp_user_timeout`, keepalives), and the callers wait less than that (`app.db.member`).
"""

import psycopg
from psycopg import AsyncConnection, conninfo
from psycopg.rows import TupleRow

from app.names import NAMES
from app.settings import Address, PostgresSettings

Connection = AsyncConnection[TupleRow]

_MOVED_SQLSTATES = frozenset(
    {
        "25006",  # read_only_sql_transaction: a primary that was demoted, or a replica that we took for one
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now: it starts, or it recovers
        "57P05",  # idle_session_timeout
        "53300",  # too_many_connections: another member may have room
    }
)

_MOST_PREPARED = 256
"""Statements that a connection keeps planned, of which the least lately used go first: searches in every chapter with
every filter make some hundred. By psycopg's 100 those would be planned again and again. Each is memory of the server's
for as long as the connection lives."""

_CONFLICT_SQLSTATES = frozenset({"40001", "40P01"})
"""serialization_failure and deadlock_detected: on a replica, a conflict with what it replays."""


def parameters(
    address: Address, settings: PostgresSettings, *, application: str, statement_timeout_seconds: float
) -> str:
    """Return the connection string for one member.

    The password file is read each time, so that a rotated secret needs no restart. `statement_timeout` is a backstop:
    what a request gives up it also cancels.
    """
    options = {
        "statement_timeout": f"{round(statement_timeout_seconds * 1000)}",
        "client_min_messages": "warning",  # to_tsquery says NOTICE for each stop word
        "plan_cache_mode": "force_generic_plan",  # planning over 19 partitions costs more than a search
        "jit": "off",  # queries of a millisecond over 19 partitions would pay for compilation
        "max_parallel_workers_per_gather": "0",  # a stable order of candidates, and no worker start for a page of hits
        "synchronize_seqscans": "off",  # the same
        "pg_trgm.similarity_threshold": "0.2",  # by the default of 0.3 words of four letters have nothing like them
        "search_path": "public",
    }
    return conninfo.make_conninfo(
        host=address.host,
        port=address.port,
        dbname=settings.database,
        user=settings.user,
        password=_password(settings),
        sslmode="verify-full" if settings.ca_file else "prefer",
        sslrootcert=str(settings.ca_file) if settings.ca_file else None,
        application_name=application,
        connect_timeout=2,
        tcp_user_timeout=2000,
        keepalives_idle=2,
        keepalives_interval=1,
        keepalives_count=2,
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
    )


async def connect(
    address: Address, settings: PostgresSettings, *, application: str, statement_timeout_seconds: float
) -> Connection:
    """Open a connection in autocommit: without it each read would be a transaction of three round trips."""
    text = parameters(address, settings, application=application, statement_timeout_seconds=statement_timeout_seconds)
    return await open_at(address, text)


async def open_at(address: Address, text: str) -> Connection:
    """Open a connection by a string of `parameters`, where `NAMES` says that the member is.

    Its certificate is held against its name as before. `OperationalError` if it cannot be opened.
    """
    try:
        found = await NAMES.of(address.host)
    except OSError as error:
        raise psycopg.OperationalError(f"{address}: {error}") from error
    names, addresses = ",".join([address.host] * len(found)), ",".join(found)
    where = conninfo.make_conninfo(text, host=names, hostaddr=addresses)
    connection = await AsyncConnection.connect(where, autocommit=True, prepare_threshold=0)
    connection.prepared_max = _MOST_PREPARED
    return connection


def is_members_fault(error: psycopg.Error) -> bool:
    """Say whether `error` tells of the member and not of the statement: another member, or a later try, may succeed.

    Connection failures (class 08, or no SQLSTATE: the connection broke) and the states of a member that stops, starts,
    recovers or was demoted.
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith("08") or error.sqlstate in _MOVED_SQLSTATES


def is_conflict(error: psycopg.Error) -> bool:
    """Say whether `error` is a conflict with other work: the member is well, and the next attempt may succeed."""
    return error.sqlstate in _CONFLICT_SQLSTATES


def _password(settings: PostgresSettings) -> str | None:
    if settings.password_file is None:
        return None
    return settings.password_file.read_text(encoding="utf-8").rstrip("\n")
