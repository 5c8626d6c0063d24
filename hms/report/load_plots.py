"""The plots of load: a run in time with what the parts used beside it, and rate against response time. Pure."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction

from hms.evidence import LoadRun, Resource, Window
from hms.figures import figure_text
from hms.report.plots import LEFT, LINE_STYLES, WIDTH
from hms.report.svg import Drawing, Point, Scale
from hms.statistics import Distribution, decode_histogram

RIGHT_EDGE = WIDTH - 84
ROW_HEIGHT = 96
ROW_TOP = 14
BAD_SHARE = 0.001


def course_plot(load: LoadRun, resources: Sequence[Resource]) -> str:
    """Return rate, response times, troubles and processors over the time of a run, one under the other.

    Empty for a run that has no windows.
    """
    if not load.windows:
        return ""
    across = Scale(0, load.duration_seconds, LEFT, RIGHT_EDGE)
    rows = 4 if resources else 3
    drawing = Drawing(WIDTH, rows * ROW_HEIGHT + 26, title=f"Load {load.scenario} over time")
    times = [(window.number + 0.5) * load.window_seconds for window in load.windows]
    rates = [_count(window) / load.window_seconds for window in load.windows]
    _line_row(drawing, 0, across, "req/s", {"": list(zip(times, rates, strict=True))})
    latencies: dict[str, list[Point]] = {"p50": [], "p99": []}
    for at, window in zip(times, load.windows, strict=True):
        seen = _together(window)
        if seen.total:
            latencies["p50"].append((at, seen.quantile(Fraction(1, 2))))
            latencies["p99"].append((at, seen.quantile(Fraction(99, 100))))
    _line_row(drawing, 1, across, "ms", latencies)
    _trouble_row(drawing, 2, across, load)
    if resources:
        _line_row(drawing, 3, across, "CPUs", _cores(resources))
    foot = rows * ROW_HEIGHT
    for tick in across.ticks(8):
        drawing.line((across(tick), foot), (across(tick), foot + 4), "axis")
        drawing.text((across(tick), foot + 17), f"{tick:g}", "tick", anchor="middle")
    drawing.text((LEFT - 12, foot + 17), "seconds", "tick", anchor="end")
    return drawing.render()


def knee_plots(loads: Sequence[LoadRun]) -> list[tuple[str, str]]:
    """Return for each scenario that was run at three steady rates or more its p99 by rate."""
    runs: dict[str, list[LoadRun]] = defaultdict(list)
    for load in loads:
        if not load.shape and load.sent:
            runs[load.scenario].append(load)
    return [
        (scenario, _knee(scenario, sorted(mine, key=lambda load: load.rate_per_second)))
        for scenario, mine in sorted(runs.items())
        if len({load.rate_per_second for load in mine}) >= 3
    ]


def _knee(scenario: str, loads: Sequence[LoadRun]) -> str:
    points = [(load.rate_per_second, max(0.1, _p99_of(load)), load) for load in loads]
    bottom = 200
    across = Scale(0, points[-1][0] * 1.05, LEFT, RIGHT_EDGE)
    values = [math.log10(p99_ms) for _, p99_ms, _ in points]
    up = Scale(math.floor(min(values)), math.ceil(max(values) + 1e-9), bottom, ROW_TOP)
    drawing = Drawing(WIDTH, bottom + 30, title=f"p99 of scenario {scenario} by rate")
    for power in range(int(up.low), int(up.high) + 1):
        drawing.line((LEFT, up(power)), (RIGHT_EDGE, up(power)), "grid")
        drawing.text((LEFT - 8, up(power) + 4), f"{10.0**power:g} ms", "tick", anchor="end")
    for tick in across.ticks(8):
        drawing.line((across(tick), bottom), (across(tick), bottom + 4), "axis")
        drawing.text((across(tick), bottom + 17), f"{tick:g}", "tick", anchor="middle")
    drawing.line((LEFT, bottom), (RIGHT_EDGE, bottom), "axis")
    drawing.text((RIGHT_EDGE + 8, bottom + 17), "requests/s", "tick")
    placed = [((across(rate), up(math.log10(value))), value, load) for rate, value, load in points]
    drawing.path([at for at, _, _ in placed], "series series-a")
    for at, value, load in placed:
        failed = sum(operation.failed for operation in load.operations) + load.dropped
        css = "point-hollow" if failed > BAD_SHARE * load.intended else "point"
        drawing.circle(at, 4, css, label=f"{load.rate_per_second:g}/s: p99 {figure_text(value, 'ms')}")
    return drawing.render()


def _p99_of(load: LoadRun) -> float:
    counts: Counter[float] = Counter()
    for operation in load.operations:
        seen = decode_histogram(operation.response_histogram, scale=0.001)
        counts.update(dict(zip(seen.values, seen.counts, strict=True)))
    return _distribution(counts).quantile(Fraction(99, 100))


def _together(window: Window) -> Distribution:
    counts: Counter[float] = Counter()
    for operation in window.operations:
        seen = decode_histogram(operation.response_histogram, scale=0.001)
        counts.update(dict(zip(seen.values, seen.counts, strict=True)))
    return _distribution(counts)


def _distribution(counts: Counter[float]) -> Distribution:
    values = tuple(sorted(counts))
    return Distribution(values=values, counts=tuple(counts[value] for value in values))


def _count(window: Window) -> int:
    return sum(operation.ok + operation.failed for operation in window.operations) + window.dropped


def _cores(resources: Sequence[Resource]) -> dict[str, list[Point]]:
    """Return the processors of each role over time, all its pods together; as many of the busiest as have a line."""
    used: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for one in resources:
        used[one.role][one.at_seconds] += one.cpu_cores
    busiest = sorted(used, key=lambda role: -max(used[role].values()))[: len(LINE_STYLES)]
    return {role: sorted(used[role].items()) for role in sorted(busiest)}


def _row(drawing: Drawing, number: int, scale_up: Scale, unit: str) -> None:
    base = (number + 1) * ROW_HEIGHT - 8
    for tick in scale_up.ticks(3):
        drawing.line((LEFT, scale_up(tick)), (RIGHT_EDGE, scale_up(tick)), "grid")
        drawing.text((LEFT - 8, scale_up(tick) + 4), f"{tick:g}", "tick", anchor="end")
    drawing.text((4, base - ROW_HEIGHT / 2), unit, "row-label")
    drawing.line((LEFT, base), (RIGHT_EDGE, base), "axis")


def _up(number: int, highest: float) -> Scale:
    top = number * ROW_HEIGHT + ROW_TOP
    return Scale(0, highest * 1.05 or 1.0, (number + 1) * ROW_HEIGHT - 8, top)


def _line_row(drawing: Drawing, number: int, across: Scale, unit: str, lines: dict[str, list[Point]]) -> None:
    up = _up(number, max((y for points in lines.values() for _, y in points), default=1.0))
    _row(drawing, number, up, unit)
    taken: list[float] = []
    for (name, points), style in zip(lines.items(), LINE_STYLES, strict=False):
        drawing.path([(across(x), up(y)) for x, y in points], f"series {style}")
        if not points or not name:
            continue
        label: float = up(points[-1][1]) + 4
        while any(abs(label - other) < 12 for other in taken):
            label -= 12
        taken.append(label)
        drawing.text((across(points[-1][0]) + 7, label), name, f"series-label {style}-text")


def _trouble_row(drawing: Drawing, number: int, across: Scale, load: LoadRun) -> None:
    troubles = [
        (window.number * load.window_seconds, sum(one.failed for one in window.operations) + window.dropped)
        for window in load.windows
    ]
    highest = max(count for _, count in troubles)
    if not highest:
        base = (number + 1) * ROW_HEIGHT - 8
        drawing.text((4, base - 4), "failed", "row-label")
        drawing.text((LEFT + 4, base - 4), "none failed, none dropped", "tick")
        drawing.line((LEFT, base), (RIGHT_EDGE, base), "axis")
        return
    up = _up(number, highest)
    _row(drawing, number, up, "failed")
    zero = up(0)
    drawing.bars(
        (
            ((across(at), up(count)), max(0.4, across(at + load.window_seconds) - across(at) - 0.4), zero - up(count))
            for at, count in troubles
            if count
        ),
        "unanswered",
    )
