"""The phases of all failovers of a run, and what its readers met, as tables. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from hms.phases import NAMES
from hms.report.model import ReaderView, Report
from hms.statistics import distribution, statistic_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """One phase of one drill's failovers over its trials, in seconds after the fault; `runs` are those that saw it."""

    drill: str
    engine: str
    name: str
    smallest: float
    median: float
    p95: float
    largest: float
    runs: int
    of: int


def phase_rows(report: Report) -> list[PhaseRow]:
    """Return a row for each drill, engine and phase that was seen, phases in the order of a failover."""
    values: dict[tuple[str, str, int], list[float]] = {}
    failovers: dict[tuple[str, str], int] = {}
    for view in report.trials:
        if view.trial is None or not view.trial.fault.proved:
            continue
        for engine, found in view.phases.items():
            failovers[view.trial.drill, engine] = failovers.get((view.trial.drill, engine), 0) + 1
            for phase in found:
                values.setdefault((view.trial.drill, engine, NAMES.index(phase.name)), []).append(phase.seconds)
    rows = []
    for (drill, engine, number), seconds in sorted(values.items()):
        seen = distribution(seconds)
        smallest, median, p95, largest = (statistic_of(seen, name) for name in ("min", "median", "p95", "max"))
        rows.append(
            PhaseRow(
                drill=drill, engine=engine, name=NAMES[number], smallest=smallest, median=median, p95=p95,
                largest=largest, runs=len(seconds), of=failovers[drill, engine],
            )
        )  # fmt: skip
    return rows


def reader_rows(report: Report) -> Iterator[tuple[str, ReaderView]]:
    """Yield each trial's readers, with the trial's name."""
    for view in report.trials:
        for reader in view.readers:
            yield view.run.removeprefix("drills/").replace("/", " "), reader
