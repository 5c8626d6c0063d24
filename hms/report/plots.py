"""The report's plots: values of a claim, percentiles of a load, the timeline of a failover. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hms.claim import Claim
from hms.evidence import LoadRun
from hms.figures import bound_text, count_text, figure_text
from hms.report.events import ShownEvent, shown_events
from hms.report.model import RunValue, TrialView, WriterView
from hms.report.svg import Drawing, Scale
from hms.statistics import Distribution, decode_histogram

WIDTH = 720
LEFT = 74
RIGHT = 24
GAP_COLUMN = 58
BIN_NS = 50_000_000
SECOND_NS = 1e9
CLUSTER_UNITS = 12
TALLEST = 2.5
COUNTED = ("writes", "checks")
LINE_STYLES = ("series-a", "series-b", "series-c", "series-d")


def claim_plot(claim: Claim, values: Sequence[RunValue]) -> str:
    """Return one point per run over the claim's unit, with the bound as a line; empty without values.

    Hollow points did not count. A value without end is an arrow at the right edge.
    """
    if not values:
        return ""
    finite = [value.value for value in values if math.isfinite(value.value)]
    scale = Scale(0, max([claim.bound, *finite]) * 1.12, LEFT, WIDTH - RIGHT)
    bound = bound_text(claim.comparison, claim.bound, claim.unit)
    drawing = Drawing(WIDTH, 82, title=f"{claim.statement} {count_text(len(values), 'measurement')}, bound {bound}")
    axis_y = 56
    drawing.line((LEFT, axis_y), (WIDTH - RIGHT, axis_y), "axis")
    for tick in scale.ticks(least_step=1 if claim.unit in COUNTED else 0):
        drawing.line((scale(tick), axis_y), (scale(tick), axis_y + 4), "axis")
        drawing.text((scale(tick), axis_y + 17), f"{tick:g}", "tick", anchor="middle")
    drawing.text((LEFT - 12, axis_y + 17), claim.unit, "tick", anchor="end")
    bound_x = scale(claim.bound)
    drawing.line((bound_x, 14), (bound_x, axis_y), "bound")
    drawing.text((bound_x, 11), f"bound {bound}", "bound-text", anchor="middle")
    taken: Counter[int] = Counter()
    for value in values:
        if math.isinf(value.value):
            drawing.text((WIDTH - RIGHT + 2, 44), "→", "endless", anchor="middle")
            continue
        x = scale(value.value)
        stack = taken[round(x / 9)]
        taken[round(x / 9)] += 1
        css = "point-hollow" if value.doubt else "point"
        drawing.circle(
            (x, 48 - 9 * min(stack, 3)), 4, css, label=f"{value.run}: {figure_text(value.value, claim.unit)}"
        )
    return drawing.render()


def latency_plot(load: LoadRun) -> str:
    """Return response times by percentile, one line per operation; both axes are logarithmic.

    The horizontal axis spreads the tail: each step is ten times rarer. Source of the form: HdrHistogram's plots.
    """
    curves = [(o.name, _curve(decode_histogram(o.response_histogram, scale=0.001))) for o in load.operations]
    curves = [(name, curve) for name, curve in curves if curve]
    if not curves:
        return ""
    height, top, bottom = 240, 16, 204
    highest = max(value for _, curve in curves for _, value in curve)
    lowest = min(value for _, curve in curves for _, value in curve)
    nines = max(2, math.ceil(max(position for _, curve in curves for position, _ in curve)))
    across = Scale(0, nines, LEFT, WIDTH - 84)
    up = Scale(math.floor(math.log10(lowest)), math.ceil(math.log10(highest) + 1e-9), bottom, top)
    drawing = Drawing(WIDTH, height, title=f"Response times of load {load.scenario} by percentile")
    for power in range(int(up.low), int(up.high) + 1):
        drawing.line((LEFT, up(power)), (WIDTH - 84, up(power)), "grid")
        drawing.text((LEFT - 8, up(power) + 4), f"{10.0**power:g} ms", "tick", anchor="end")
    for step in range(nines + 1):
        drawing.line((across(step), bottom), (across(step), bottom + 4), "axis")
        drawing.text((across(step), bottom + 17), _percent_text(step), "tick", anchor="middle")
    drawing.line((LEFT, bottom), (WIDTH - 84, bottom), "axis")
    ends: list[tuple[float, float]] = []
    for (name, curve), style in zip(curves, LINE_STYLES, strict=False):
        points = [(across(position), up(math.log10(value))) for position, value in curve]
        drawing.path(points, f"series {style}")
        x, y = points[-1][0] + 7, points[-1][1] + 4
        while any(abs(x - other_x) < 60 and abs(y - other_y) < 12 for other_x, other_y in ends):
            y += 12
        ends.append((x, y))
        drawing.text((x, y), name, f"series-label {style}-text")
    return drawing.render()


def _percent_text(step: int) -> str:
    return "0 %" if step == 0 else f"{100 - 10.0 ** (2 - step):g} %"


def _curve(seen: Distribution) -> list[tuple[float, float]]:
    """Return (log10 of one in how many is slower, value), as a staircase up to the slowest one."""
    points: list[tuple[float, float]] = []
    below = 0
    for value, count in zip(seen.values, seen.counts, strict=True):
        points.append((-math.log10(1 - below / seen.total), max(value, 0.001)))
        below += count
    if points:
        points.append((math.log10(seen.total), points[-1][1]))
    return _thinned(points)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out points that no eye can tell from their neighbours; first and last stay."""
    kept = points[:1]
    for before, point in pairwise(points):
        if point[0] - kept[-1][0] > 0.01 or point[1] > kept[-1][1] * 1.02:
            if kept[-1] != before:
                kept.append(before)
            kept.append(point)
    return kept if not points or kept[-1] == points[-1] else [*kept, points[-1]]


def timeline(view: TrialView) -> str:
    """Return one trial in time: per writer the writes of each 50 ms, acknowledged upwards and others downwards.

    The fault is at zero, the write gap is shaded, events are numbered above as in `shown_events`. A bar is cut off at
    `TALLEST` times the writer's rate: after a gap, everything that waited ends at once.
    """
    gaps = [min(writer.gap_seconds, 30.0) for writer in view.writers if writer.gap_seconds is not None]
    if view.trial is None or not gaps:
        return ""
    fault_ns = view.trial.fault.at_ns
    scale = Scale(-1.5, max([3.5, *(gap + 2.0 for gap in gaps)]), LEFT, WIDTH - GAP_COLUMN)
    events = shown_events(view)
    lines = max((level + 1 for _, level, _ in _clusters(events, scale)), default=0)
    head = 20 + 13 * lines
    row = 74
    foot = head + row * len(view.writers)
    drawing = Drawing(WIDTH, foot + 26, title=f"Timeline of {view.run}")
    for index, writer in enumerate(view.writers):
        _writer_row(drawing, writer, scale, fault_ns, top=head + row * index, height=row)
    for tick in scale.ticks(8):
        drawing.line((scale(tick), foot), (scale(tick), foot + 4), "axis")
        drawing.text((scale(tick), foot + 17), f"{tick:g}", "tick", anchor="middle")
    drawing.line((LEFT, foot), (WIDTH - GAP_COLUMN, foot), "axis")
    drawing.text((LEFT - 12, foot + 17), "seconds", "tick", anchor="end")
    drawing.line((scale(0), head - 6), (scale(0), foot), "fault")
    drawing.text((scale(0), 11), "fault", "fault-text", anchor="middle")
    _draw_events(drawing, events, scale, foot=foot)
    return drawing.render()


def _draw_events(drawing: Drawing, events: Sequence[ShownEvent], scale: Scale, *, foot: float) -> None:
    """Draw a numbered line for each cluster of events; `_clusters` says what is one."""
    for x, level, label in _clusters(events, scale):
        drawing.line((x, 24 + 13 * level), (x, foot), "event")
        drawing.text((x, 21 + 13 * level), label, "event-text", anchor="middle")


def _clusters(events: Sequence[ShownEvent], scale: Scale) -> list[tuple[float, int, str]]:
    """Return (coordinate, line above the plot, numbers) of events; those within `CLUSTER_UNITS` share one marker."""
    groups: list[list[int]] = []
    for index, event in enumerate(events):
        if event.seconds > scale.high:
            break
        if groups and scale(event.seconds) - scale(events[groups[-1][0]].seconds) < CLUSTER_UNITS:
            groups[-1].append(index)
        else:
            groups.append([index])
    ends: list[float] = []
    clusters: list[tuple[float, int, str]] = []
    for group in groups:
        x = scale(events[group[0]].seconds)
        label = str(group[0] + 1) if len(group) == 1 else f"{group[0] + 1}–{group[-1] + 1}"
        half = 4 * len(label)
        level = next((n for n, end in enumerate(ends) if x - half > end), len(ends))
        if level == len(ends):
            ends.append(0)
        ends[level] = x + half
        clusters.append((x, level, label))
    return clusters


def _writer_row(drawing: Drawing, view: WriterView, scale: Scale, fault_ns: int, *, top: float, height: float) -> None:
    """Draw one writer's bars; the row's upper two thirds are for acknowledged writes, the rest for the others."""
    zero = top + height * 0.66
    if view.gap is not None:
        gap_from, gap_to = (scale((ns - fault_ns) / SECOND_NS) for ns in (view.gap.start_ns, view.gap.end_ns))
        drawing.rectangle((gap_from, top + 4), gap_to - gap_from, height - 8, "gap")
        drawing.text((WIDTH, zero - 20), "gap", "tick", anchor="end")
        drawing.text((WIDTH, zero - 6), figure_text(view.gap_seconds, "s"), "gap-text", anchor="end")
    acknowledged: Counter[int] = Counter()
    others: Counter[int] = Counter()
    for write in view.held.writes:
        if write.outcome == "acknowledged" and write.done_ns is not None:
            acknowledged[(write.done_ns - fault_ns) // BIN_NS] += 1
        else:
            others[(write.sent_ns - fault_ns) // BIN_NS] += 1
    tallest = max(1.0, TALLEST * view.held.writer.rate_per_second * BIN_NS / SECOND_NS)
    for counts, css, room, up in (
        (acknowledged, "acknowledged", height * 0.66 - 8, True), (others, "unanswered", height * 0.34 - 6, False),
    ):  # fmt: skip
        bars = []
        for bin_number, count in sorted(counts.items()):
            start, end = (bin_number * BIN_NS / SECOND_NS, (bin_number + 1) * BIN_NS / SECOND_NS)
            if end <= scale.low or start >= scale.high:
                continue
            size = room * min(1.0, count / tallest)
            corner = (scale(start), zero - size if up else zero)
            bars.append((corner, max(0.2, scale(end) - scale(start) - 0.4), size))
        drawing.bars(bars, css)
    drawing.line((LEFT, zero), (WIDTH - GAP_COLUMN, zero), "baseline")
    drawing.text((LEFT - 12, zero - 8), view.name, "row-label", anchor="end")
