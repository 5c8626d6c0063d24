"""A failover as a bar: one segment up to each phase, with its name and moment. Pure."""

from collections.abc import Sequence

from hms.phases import Phase
from hms.report.model import TrialView
from hms.report.svg import Drawing, Scale

WIDTH = 720
LEFT = 74
RIGHT = 24
ROW = 62
LABEL_UNITS = 106
LEVELS = 3


def phase_bar(view: TrialView) -> str:
    """Return a bar for each engine that failed over in a trial; empty where none did.

    The time until steady would flatten all the rest: it is written at the end, not drawn to scale.
    """
    found = {engine: [p for p in phases if p.name != "steady"] for engine, phases in view.phases.items()}
    found = {engine: phases for engine, phases in found.items() if phases}
    if not found:
        return ""
    longest = max(phase.seconds for phases in found.values() for phase in phases)
    scale = Scale(0, longest, LEFT, WIDTH - 130)
    drawing = Drawing(WIDTH, ROW * len(found), title=f"Phases of {view.run}")
    for row, (engine, phases) in enumerate(found.items()):
        steady = next((p.seconds for p in view.phases[engine] if p.name == "steady"), None)
        _row(drawing, engine, phases, steady, scale, top=ROW * row)
    return drawing.render()


def _row(
    drawing: Drawing, engine: str, phases: Sequence[Phase], steady: float | None, scale: Scale, *, top: float
) -> None:
    drawing.text((LEFT - 12, top + 14), engine, "row-label", anchor="end")
    start = 0.0
    for number, phase in enumerate(phases):
        drawing.rectangle(
            (scale(start), top + 4), max(0.5, scale(phase.seconds) - scale(start)), 12, f"phase-{number % 5}"
        )
        start = phase.seconds
    ends = [0.0] * LEVELS
    for phase in phases:
        x = scale(phase.seconds)
        level = next((n for n, end in enumerate(ends) if x - LABEL_UNITS / 2 >= end), ends.index(min(ends)))
        at = max(x, ends[level] + LABEL_UNITS / 2)
        ends[level] = at + LABEL_UNITS / 2
        drawing.line((x, top + 16), (x, top + 20 + 13 * level), "event")
        drawing.text((at, top + 30 + 13 * level), f"{phase.name} {phase.seconds:.2f} s", "tick", anchor="middle")
    if steady is not None:
        drawing.text((WIDTH, top + 14), f"steady after {steady:.1f} s", "tick", anchor="end")
