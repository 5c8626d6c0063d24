"""The statements that a request sends to Postgres, as the server's own log has them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hms.bench.processes import eventually
from hms.bench.servers import Postgres

_EXECUTE = re.compile(r"execute [^:]*: (.*)", re.DOTALL)
_PARAMETER = re.compile(r"\$(\d+) = ('(?:[^']|'')*'|NULL)")
_PREFIX = "hms-bench-log|"
_MARK = "the end of request"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its parameters `$1`, `$2`, ...; None is NULL."""

    text: str
    parameters: tuple[str | None, ...]


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
    return tuple(_parse(part) for part in "".join(postgres.log[said:]).split(_MARK)[: len(requests)])


def _parse(log: str) -> tuple[Statement, ...]:
    """Read the log: an entry begins with the prefix, its other lines with a tab; parameters follow as a DETAIL."""
    found: list[Statement] = []
    for text in log.split(f"{_PREFIX}hms-app|")[1:]:
        kind, _, message = text.split(_PREFIX)[0].partition(":  ")
        if kind == "LOG" and (match := _EXECUTE.search(message)):
            found.append(Statement(match[1].replace("\n\t", "\n").strip(), ()))
        elif kind == "DETAIL" and found:
            values = tuple(_literal(value) for _, value in _PARAMETER.findall(message.replace("\n\t", "\n")))
            found[-1] = Statement(found[-1].text, values)
    return tuple(statement for statement in found if "icd10_codes" in statement.text)


def _literal(quoted: str) -> str | None:
    return None if quoted == "NULL" else quoted[1:-1].replace("''", "'")
