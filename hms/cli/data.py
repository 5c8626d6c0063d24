"""`hms data`: fill a running stack."""

from pathlib import Path

import click

from hms.cli.target import RunningTarget, say, target_options
from hms.data.fill import Filler
from hms.data.search_history import MOST_MONTHS
from hms.errors import UsageError

MOST_ROWS = 100_000_000
MOST_SEARCHES = 10_000_000


def _count(key: str, text: str, most: int) -> int:
    digits = text.replace("_", "").replace(",", "")
    number = int(digits) if digits.isascii() and digits.isdigit() else -1
    if not 0 <= number <= most:
        raise UsageError(f"{key} {text!r}: must be a whole number from 0 to {most:,}")
    return number


@click.command()
@target_options
@click.option("--rows", default="0", help="Rows of all releases together, as 10_000_000; 0 leaves them as they are.")
@click.option("--months", default=str(MOST_MONTHS), show_default=True, help="Past months whose search log is filled.")
@click.option("--searches", default="0", help="Rows of each of these months.")
def data(*, target: RunningTarget, out: Path | None, rows: str, months: str, searches: str) -> None:
    """Fill the stack: a history of releases up to --rows, and past months of the search log.

    The rows are the real release's under other names, and not searched in. What was cut off goes on where it was.
    """
    if out is not None:
        raise UsageError("--out: filling a stack leaves no evidence")
    wanted = _count("--rows", rows, MOST_ROWS)
    month_count, search_count = _count("--months", months, MOST_MONTHS), _count("--searches", searches, MOST_SEARCHES)
    if not wanted and not (month_count and search_count):
        raise UsageError("nothing to do", remedy="Give --rows, --searches, or both.")
    filler = Filler(target.inventory, target.kubectl, say)
    if wanted:
        filler.history(wanted)
    if search_count:
        filler.searches(months=month_count, rows=search_count)
