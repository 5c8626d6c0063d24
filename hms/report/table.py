"""The verdicts as a table for a terminal."""

from collections.abc import Iterable, Sequence

import click

from hms.claim import Claim
from hms.figures import bound_text, count_text, figure_text
from hms.verdict import Outcome, Verdict

COLOURS: dict[Outcome, str] = {"PASSED": "green", "FAILED": "red", "INCONCLUSIVE": "yellow", "NOT_APPLICABLE": "blue"}
OUTCOMES: tuple[Outcome, ...] = ("FAILED", "INCONCLUSIVE", "PASSED", "NOT_APPLICABLE")
HEADINGS = ("VERDICT", "CLAIM", "FIGURE", "BOUND", "RUNS")


def figure_of(claim: Claim, verdict: Verdict) -> str:
    """Return a verdict's figure in words; a value without end is one too."""
    return figure_text(float("inf") if verdict.endless and verdict.figure is None else verdict.figure, claim.unit)


def bound_of(claim: Claim) -> str:
    """Return a claim's statistic, comparison and bound in words."""
    return f"{claim.statistic} {bound_text(claim.comparison, claim.bound, claim.unit)}"


def runs_of(verdict: Verdict) -> str:
    """Return how many runs counted, and how many did not."""
    return f"{verdict.runs} (+{verdict.runs_set_aside} set aside)" if verdict.runs_set_aside else str(verdict.runs)


def summary(verdicts: Iterable[Verdict]) -> str:
    """Return `12 claims: 1 FAILED, 11 PASSED`."""
    outcomes = [verdict.outcome for verdict in verdicts]
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in OUTCOMES if outcome in outcomes)
    return f"{count_text(len(outcomes), 'claim')}: {counts or 'none'}"


def verdict_table(claims: Iterable[Claim], verdicts: Sequence[Verdict], *, colour: bool) -> str:
    """Return the table, a line per claim, and the reason beneath each that did not pass.

    Columns are aligned by what is seen; `colour` adds escape codes to the verdict's word and nothing else.
    """
    by_id = {claim.id: claim for claim in claims}
    rows = [(v.outcome, v.claim, figure_of(by_id[v.claim], v), bound_of(by_id[v.claim]), runs_of(v)) for v in verdicts]
    widths = [max(len(row[column]) for row in (HEADINGS, *rows)) for column in range(len(HEADINGS))]
    lines = [_line(HEADINGS, widths)]
    for verdict, row in zip(verdicts, rows, strict=True):
        line = _line(row, widths)
        if colour:
            line = click.style(verdict.outcome, fg=COLOURS[verdict.outcome], bold=True) + line[len(verdict.outcome) :]
        lines.append(line)
        if verdict.outcome != "PASSED":
            lines += [f"{'':{widths[0]}}    {part}" for part in verdict.reason.split("; ")]
    return "\n".join((*lines, "", summary(verdicts)))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    verdict, claim, figure, bound, runs = row
    return f"{verdict:<{widths[0]}}  {claim:<{widths[1]}}  {figure:>{widths[2]}}  {bound:<{widths[3]}}  {runs}".rstrip()
