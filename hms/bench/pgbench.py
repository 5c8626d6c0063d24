"""pgbench, which asks Postgres the same statements with nothing in between: what raw SQL alone gives."""

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hms.bench.servers import binary
from hms.bench.statements import Statement
from hms.errors import BenchError

MOST_SCRIPTS = 128
"""pgbench takes no more."""

_LITERAL = re.compile(r"'(?:[^']|'')*'")
_LIKE_A_VARIABLE = re.compile(r":(?=\w)")
_RATE = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)$", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


def run(requests: Sequence[Sequence[Statement]], *, connection: str, clients: int, seconds: int) -> float:
    """Return how many requests a second Postgres answers, each a list of statements, prepared, chosen at random.

    `connection` is a connection string, with the options that the service's own connections have. Raises `BenchError`.
    """
    variables: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="hms-bench-") as directory:
        files = []
        for number, statements in enumerate(requests):
            file = Path(directory) / f"{number}.sql"
            file.write_text("".join(_script(each, f"p{number}_{n}", variables) for n, each in enumerate(statements)))
            files += ["-f", str(file)]
        defined = [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
        done = subprocess.run(
            [binary("pgbench"), "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(seconds), *defined,
             *files, connection],
            capture_output=True, text=True, check=False, env={**os.environ, "PGAPPNAME": "hms-pgbench"},
        )  # fmt: skip
    rate, failed = _RATE.search(done.stdout), _FAILED.search(done.stdout)
    if done.returncode != 0 or rate is None or (failed and int(failed[1])):
        raise BenchError(
            f"pgbench ended with {done.returncode}", remedy=f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    return float(rate[1])


def _script(statement: Statement, name: str, variables: dict[str, str]) -> str:
    """Return a statement with pgbench's variables in place of its parameters; their values go into `variables`."""

    def variable(match: re.Match[str]) -> str:
        variables[f"{name}_{match[1]}"] = statement.parameters[int(match[1]) - 1]
        return f":{name}_{match[1]}"

    # What looks like a variable of pgbench is one, also within a literal such as ':A'; nothing escapes it.
    text = _LITERAL.sub(lambda match: _without_colons(match[0]), statement.text)
    return re.sub(r"\$(\d+)", variable, text) + ";\n"


def _without_colons(literal: str) -> str:
    if _LIKE_A_VARIABLE.search(literal) is None:
        return literal
    parts = _LIKE_A_VARIABLE.sub("'||chr(58)||'", literal)
    return f"({parts})"
