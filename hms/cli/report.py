"""`hms report`."""

from pathlib import Path

import click

from hms.report import write_report


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The HTML file to write.  [default: DIRECTORY.html]")
def report(directory: Path, out: Path | None) -> None:
    """Write the report of the evidence in DIRECTORY as one HTML file, readable offline and printable."""
    click.echo(write_report(directory, out or directory.resolve().with_name(f"{directory.resolve().name}.html")))
