"""Two runs side by side. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from hms.claim import Claim
from hms.figures import count_text, figure_text
from hms.report.model import JudgedClaim, Report
from hms.report.table import figure_of
from hms.verdict import Outcome

RANK: dict[Outcome, int] = {"PASSED": 2, "NOT_APPLICABLE": 1, "INCONCLUSIVE": 1, "FAILED": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One claim in two runs; `before` or `after` is None where that run has no such claim.

    `change` is the second figure less the first, in the claim's unit; None where either has none.
    """

    claim: Claim
    before: JudgedClaim | None
    after: JudgedClaim | None
    change: float | None
    same_bound: bool

    @property
    def worse(self) -> bool:
        """Whether the verdict fell: from held to not told, or from either to broken."""
        if self.before is None or self.after is None:
            return False
        return RANK[self.after.verdict.outcome] < RANK[self.before.verdict.outcome]


def compare(before: Report, after: Report) -> tuple[Comparison, ...]:
    """Return the claims of both runs, in order of id."""
    first = {judged.claim.id: judged for judged in before.claims}
    second = {judged.claim.id: judged for judged in after.claims}
    return tuple(_comparison(first.get(name), second.get(name)) for name in sorted(first.keys() | second.keys()))


def _comparison(before: JudgedClaim | None, after: JudgedClaim | None) -> Comparison:
    either = after or before
    if either is None:
        raise ValueError("a claim is of one run at least")
    figures = [judged.verdict.figure for judged in (before, after) if judged is not None]
    known = [figure for figure in figures if figure is not None]
    return Comparison(
        claim=either.claim, before=before, after=after, change=known[1] - known[0] if len(known) == 2 else None,
        same_bound=before is None or after is None or before.claim == after.claim,
    )  # fmt: skip


def comparison_table(before: Report, after: Report) -> str:
    """Return the comparison for a terminal: figures and verdicts of both, the change, and what got worse."""
    rows = compare(before, after)
    names = [f"{r.run.id}, commit {r.run.commit[:12]}" if r.run else "unnamed" for r in (before, after)]
    lines = [f"A  {names[0]}", f"B  {names[1]}", ""]
    cells = [("CLAIM", "A", "B", "CHANGE", ""), *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    for claim, first, second, change, note in cells:
        line = f"{claim:<{widths[0]}}  {first:>{widths[1]}}  {second:>{widths[2]}}  {change:>{widths[3]}}  {note}"
        lines.append(line.rstrip())
    worse = sum(row.worse for row in rows)
    lines += ["", *differences(before, after), f"{count_text(len(rows), 'claim')}, {worse} worse in B"]
    return "\n".join(lines)


def _cells(row: Comparison) -> tuple[str, str, str, str, str]:
    change = "–" if row.change is None else ("+" if row.change > 0 else "") + figure_text(row.change, row.claim.unit)
    notes = [note for note, true in (("WORSE", row.worse), ("the claim itself changed", not row.same_bound)) if true]
    return row.claim.id, _side(row.before), _side(row.after), change, ", ".join(notes)


def _side(judged: JudgedClaim | None) -> str:
    return "–" if judged is None else f"{figure_of(judged.claim, judged.verdict)} {judged.verdict.outcome}"


def differences(before: Report, after: Report) -> Iterator[str]:
    """Say in what else the runs differ, so that a change of figures is not ascribed to the wrong cause."""
    if before.environment and after.environment:
        for field in ("machine", "cpu_model", "cpu_count", "memory_bytes", "kernel", "images", "tools"):
            old, new = getattr(before.environment, field), getattr(after.environment, field)
            if old != new:
                yield f"the environments differ in {field}: {_shown(old)} / {_shown(new)}"
    if before.inventory and after.inventory and before.inventory != after.inventory:
        yield "the inventories differ: the stacks were not configured alike"


def _shown(value: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in sorted(value.items())) if isinstance(value, dict) else str(value)
