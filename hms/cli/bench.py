"""`hms bench`: measure a part of the stack alone, on this machine."""

import signal
import sys
from pathlib import Path

import click
import msgspec

from hms.bench.place import FEW_ROWS
from hms.bench.run import MEASUREMENTS, run
from hms.bench.table import page, table
from hms.errors import BreachError, UsageError

_GENERATOR = "generator"


@click.group()
def bench() -> None:
    """Measure a part of the stack alone, on this machine."""


@bench.command()
@click.option(
    "--only", multiple=True, type=click.Choice(tuple(MEASUREMENTS)), help="Measure this alone; may be given again."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write a page of the figures, and of how, to this file."
)
@click.option(
    "--rows",
    type=click.IntRange(200_000, 100_000_000),
    default=FEW_ROWS,
    show_default=True,
    help="Rows of the history that `generator` stores, beside which all else is measured.",
)
def app(only: tuple[str, ...], as_json: bool, markdown: Path | None, rows: int) -> None:
    """Print the service's figures, each with its bound and with what the machine does without the service.

    Postgres, Redis and the service are started from this machine's packages (`hms tools tests`) and removed again. The
    service has a core of its own; what shares the machine meanwhile makes the figures worse. Exit code 1 if a figure is
    out of its bound.
    """
    # Whoever ends this ends the servers, too: as by Ctrl-C.
    if rows != FEW_ROWS and only and _GENERATOR not in only:
        raise UsageError(
            f"--rows {rows}: without `{_GENERATOR}` there is no history", remedy=f"Add `--only {_GENERATOR}`."
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = run(only, lambda line: click.echo(line, err=True), rows=rows)
    if markdown is not None:
        markdown.write_bytes(page(results))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(results)).decode())
    else:
        click.echo(table(results, colour=sys.stdout.isatty()))
    if results.breaches:
        names = ", ".join(figure.name for figure in results.breaches)
        raise BreachError(f"{len(results.breaches)} of {len(results.figures)} figures are out of bounds: {names}")
