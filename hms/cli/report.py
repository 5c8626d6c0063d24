"""`hms report`."""

from pathlib import Path

import click

from hms.evidence_directory import EvidenceDirectory
from hms.files import write_whole
from hms.report import write_report
from hms.report.compare import comparison_table
from hms.report.junit import junit_xml
from hms.report.markdown import markdown_page
from hms.report.page import read_report
from hms.report.tables import runs_csv, verdicts_csv

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=FILE, help="The HTML file to write.  [default: DIRECTORY.html]")
@click.option("--junit", type=FILE, help="Write the verdicts as JUnit XML to this file instead.")
@click.option("--csv", "csv_file", type=FILE, help="Write the verdicts as CSV to this file instead.")
@click.option("--csv-runs", type=FILE, help="Write what each run showed as CSV to this file instead.")
@click.option("--markdown", type=FILE, help="Write verdicts, steps and load as Markdown to this file instead.")
@click.option("--compare", type=click.Path(path_type=Path), help="Print this run beside DIRECTORY's, claim by claim.")
def report(
    *,
    directory: Path, out: Path | None, junit: Path | None, csv_file: Path | None, csv_runs: Path | None,
    markdown: Path | None, compare: Path | None,
) -> None:  # fmt: skip
    """Write the report of the evidence in DIRECTORY as one HTML file, readable offline and printable."""
    evidence = EvidenceDirectory(directory)
    others = [(junit, junit_xml), (csv_file, verdicts_csv), (csv_runs, runs_csv), (markdown, markdown_page)]
    for target, form in others:
        if target is not None:
            click.echo(write_whole(target, form(read_report(evidence)), outside=evidence))
    if compare is not None:
        click.echo(comparison_table(read_report(evidence), read_report(EvidenceDirectory(compare))))
    if out is not None or (compare is None and not any(target for target, _ in others)):
        name = directory.resolve().name
        click.echo(write_report(directory, out or directory.resolve().with_name(f"{name}.html")))
