"""The statements that a request sends to Postgres, as the server's own log has them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from psycopg import Connection
from psycopg.pq import ExecStatus
from psycopg.rows import TupleRow

from hms.bench.processes import eventually
from hms.bench.servers import Postgres
from hms.errors import BenchError

_EXECUTE = re.compile(r"execute [^:]*: (.*)", re.DOTALL)
_PARAMETER = re.compile(r"\$(\d+) = ('(?:[^']|'')*'|NULL)")
_PLACE = re.compile(r"\$(\d+)")
_PREFIX = "hms-bench-log|"
_MARK = "the end of request"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its parameters `$1`, `$2`, ...; none of them is NULL or empty."""

    text: str
    parameters: tuple[str, ...]


def sent_by(postgres: Postgres, requests: Sequence[Callable[[], None]]) -> tuple[tuple[Statement, ...], ...]:
    """Return, for each request, the searches and look-ups of codes that it sends to `postgres`, in order."""
    said = len(postgres.log)
    postgres.configure(log_statement="all", log_line_prefix=f"{_PREFIX}%a|", log_parameter_max_length="-1")
    eventually(lambda: postgres.value("SHOW log_statement") == "all")
    try:
        with postgres.connect() as connection:
            for number, ask in enumerate(requests):
                ask()
                connection.execute(f"SELECT '{_MARK} {number}'".encode())
        eventually(lambda: any(f"{_MARK} {len(requests) - 1}'" in line for line in postgres.log[said:]))
    finally:
        postgres.configure(log_statement="", log_line_prefix="", log_parameter_max_length="")
    parts = "".join(postgres.log[said:]).split(_MARK)[: len(requests)]
    with postgres.connect() as connection:
        return tuple(tuple(_typed(connection, each) for each in _parse(part)) for part in parts)


def _typed(connection: Connection[TupleRow], statement: Statement) -> Statement:
    """Return the statement with the type of each parameter wherever it stands: the log has the values only.

    pgbench makes a parameter of its own of each place, and `$4 IS NULL` alone tells no type.
    """
    prepared = connection.pgconn.prepare(b"", statement.text.encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        reason = prepared.error_message.decode(errors="replace").strip()
        raise BenchError(f"a captured statement cannot be prepared: {reason}", remedy=statement.text)
    described = connection.pgconn.describe_prepared(b"")
    names = [_type_name(connection, described.param_type(number)) for number in range(described.nparams)]
    text = _PLACE.sub(lambda match: f"{match[0]}::{names[int(match[1]) - 1]}", statement.text)
    return Statement(text, statement.parameters)


def _type_name(connection: Connection[TupleRow], oid: int) -> str:
    row = connection.execute("SELECT %s::oid::regtype::text", (oid,)).fetchone()
    assert row is not None
    return str(row[0])


def _bound(text: str, values: tuple[str | None, ...]) -> Statement:
    """Return the statement with NULL and the empty text in place of those parameters, which pgbench cannot bind.

    The planner may make more of them than it does of parameters, so the statement is not slower for it.
    """
    kept: list[str] = []
    places: dict[int, str] = {}
    for number, value in enumerate(values, 1):
        if value:
            kept.append(value)
        places[number] = f"${len(kept)}" if value else "''" if value == "" else "NULL"
    return Statement(_PLACE.sub(lambda match: places[int(match[1])], text), tuple(kept))


def _parse(log: str) -> tuple[Statement, ...]:
    """Read the log: an entry begins with the prefix, its other lines with a tab; parameters follow as a DETAIL."""
    found: list[tuple[str, tuple[str | None, ...]]] = []
    for entry in log.split(f"{_PREFIX}hms-app|")[1:]:
        kind, _, message = entry.split(_PREFIX)[0].partition(":  ")
        if kind == "LOG" and (match := _EXECUTE.search(message)):
            found.append((match[1].replace("\n\t", "\n").strip(), ()))
        elif kind == "DETAIL" and found:
            values = tuple(_literal(value) for _, value in _PARAMETER.findall(message.replace("\n\t", "\n")))
            found[-1] = (found[-1][0], values)
    return tuple(_bound(text, values) for text, values in found if "icd10_codes" in text)


def _literal(quoted: str) -> str | None:
    return None if quoted == "NULL" else quoted[1:-1].replace("''", "'")
