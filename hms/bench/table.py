"""The figures for a person: a table for a terminal, and a page of Markdown. Pure."""

from collections.abc import Iterable, Iterator

import click

from hms.bench.figure import Figure, Results
from hms.figures import bound_text, count_text, figure_text
from hms.report.markdown import machine_lines, markdown_table

_HEADINGS = ("VERDICT", "FIGURE", "VALUE", "BOUND", "WITHOUT THE SERVICE", "OF")


def table(results: Results, *, colour: bool) -> str:
    """Return the figures, a line each, and how many are out of their bounds."""
    rows = [_row(figure) for figure in results.figures]
    widths = [max(len(row[column]) for row in (_HEADINGS, *rows)) for column in range(len(_HEADINGS))]
    lines = [_line(_HEADINGS, widths)]
    for figure, row in zip(results.figures, rows, strict=True):
        line = _line(row, widths)
        if colour and figure.bound is not None:
            line = click.style(row[0], fg="green" if figure.holds else "red", bold=True) + line[len(row[0]) :]
        lines.append(line)
    return "\n".join((*lines, "", _summary(results)))


def page(results: Results) -> bytes:
    """Return the figures as a page of Markdown, with what was done for each and the machine."""
    return "\n".join(_page(results)).encode()


def _page(results: Results) -> Iterator[str]:
    yield from ("# The service's figures", "", "Written by `hms bench app --markdown FILE`.", "")
    yield f"Begun {results.started_at}, commit `{results.commit[:12]}`, {results.seconds:.0f} s. {_summary(results)}"
    yield ""
    headings = ("verdict", "figure", "value", "smallest", "largest", "bound", "without the service", "values")
    yield from markdown_table(headings, (_cells(figure) for figure in results.figures))
    yield from ("", "## How", "")
    yield from (f"- `{figure.name}`: {_sentence(figure)}" for figure in results.figures)
    yield from ("", "## The machine", "")
    yield from machine_lines(results.machine)
    yield f"- others used {results.busy_share:.0%} of its processors before the run"
    yield ""


def _verdict(figure: Figure) -> str:
    if figure.bound is None:
        return ""
    return "PASSED" if figure.holds else "FAILED"


def _bound(figure: Figure) -> str:
    if figure.comparison is None or figure.bound is None:
        return figure.statistic
    return f"{figure.statistic} {bound_text(figure.comparison, figure.bound, figure.unit)}"


def _row(figure: Figure) -> tuple[str, ...]:
    raw = figure.raw
    return (
        _verdict(figure),
        figure.name,
        figure_text(figure.value, figure.unit),
        _bound(figure),
        figure_text(raw.value, figure.unit) if raw else "",
        count_text(figure.samples, "value"),
    )


def _cells(figure: Figure) -> tuple[str, ...]:
    verdict, name, value, bound, without, samples = _row(figure)
    ends = (figure_text(end, figure.unit) for end in (figure.smallest, figure.largest))
    return (verdict, f"`{name}`", value, *ends, bound, without, samples.split()[0])


def _sentence(figure: Figure) -> str:
    beside = f" Beside it: {figure.raw.what}." if figure.raw else ""
    return f"{figure.how}.{beside}"


def _line(row: Iterable[str], widths: list[int]) -> str:
    verdict, name, value, bound, without, samples = row
    return (
        f"{verdict:<{widths[0]}}  {name:<{widths[1]}}  {value:>{widths[2]}}  {bound:<{widths[3]}}  "
        f"{without:>{widths[4]}}  {samples}"
    ).rstrip()


def _summary(results: Results) -> str:
    bounded = [figure for figure in results.figures if figure.bound is not None]
    return f"{count_text(len(results.breaches), 'breach').replace('breachs', 'breaches')} of {len(bounded)} bounds."
