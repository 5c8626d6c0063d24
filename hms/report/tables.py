"""The verdicts, and what each run showed, as CSV (RFC 4180, UTF-8). Pure."""

import csv
import io
from collections.abc import Iterable, Sequence

from hms.report.model import Report

VERDICT_COLUMNS = (
    "claim", "verdict", "statistic", "figure", "unit", "comparison", "bound", "runs", "runs_set_aside", "endless",
    "smallest", "median", "largest", "reason", "statement", "source",
)  # fmt: skip
RUN_COLUMNS = ("claim", "run", "value", "unit", "counted", "doubt")


def verdicts_csv(report: Report) -> bytes:
    """Return one row per claim; figures unrounded, empty where there is none or where it has no end."""
    return _csv(
        VERDICT_COLUMNS,
        (
            (
                j.claim.id, j.verdict.outcome, j.claim.statistic, j.verdict.figure, j.claim.unit, j.claim.comparison,
                j.claim.bound, j.verdict.runs, j.verdict.runs_set_aside, j.verdict.endless, j.verdict.smallest,
                j.verdict.median, j.verdict.largest, j.verdict.reason, j.claim.statement, j.claim.source,
            )
            for j in report.claims
        ),
    )  # fmt: skip


def runs_csv(report: Report) -> bytes:
    """Return one row per claim and value; a value without end is `inf`, one that did not count has its `doubt`."""
    return _csv(
        RUN_COLUMNS,
        (
            (j.claim.id, v.run, v.value, j.claim.unit, "no" if v.doubt else "yes", v.doubt)
            for j in report.claims
            for v in j.values
        ),
    )


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
