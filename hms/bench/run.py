"""A run of the benchmark: each measurement after the other, in one place."""

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from app.errors import AppError
from hms.bench import (
    arrivals,
    database,
    death,
    failover,
    history,
    invalidation,
    limits,
    noticing,
    refusal,
    search_rate,
    searches,
    soak,
)
from hms.bench.cores import split
from hms.bench.figure import Figure, Results
from hms.bench.place import FEW_ROWS, Place, Say, prepared
from hms.environment import read_machine
from hms.errors import BenchError
from hms.evidence_begin import checkout_commit

Measurement = Callable[[Place, Say], tuple[Figure, ...]]

MEASUREMENTS: dict[str, Measurement] = {
    "generator": database.generator,
    "search-rate": search_rate.measure,
    "arrivals": arrivals.measure,
    "searches": searches.measure,
    "invalidation": invalidation.measure,
    "redis-death": death.measure,
    "redis-failover": failover.measure,
    "limits": limits.measure,
    "refusal": refusal.measure,
    "soak": soak.measure,
    "members": noticing.measure,
    "index-building": database.index_building,
    "history": history.measure,
}
"""By the name that `--only` takes. The history is stored first, so that all that follows is measured beside it."""

_LOOK_SECONDS = 1.0


def run(names: Sequence[str], say: Say, *, rows: int = FEW_ROWS) -> Results:
    """Measure what `names` say, everything if there are none, with a history of `rows` rows. Raises `BenchError`."""
    began = time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    busy_share = others_share()
    figures: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="hms-bench-") as directory,
        prepared(Path(directory), split(), say, rows=rows) as place,
    ):
        for name, measure in MEASUREMENTS.items():
            if not names or name in names:
                say(name)
                figures += _measured(name, measure, place, say)
    return Results(
        started_at=started_at,
        seconds=time.monotonic() - began,
        commit=checkout_commit(),
        machine=read_machine({}),
        busy_share=busy_share,
        figures=tuple(figures),
    )


def _measured(name: str, measure: Measurement, place: Place, say: Say) -> tuple[Figure, ...]:
    try:
        return measure(place, say)
    except (AppError, psycopg.Error, OSError) as error:
        raise BenchError(
            f"{name}: {str(error).strip() or type(error).__name__}",
            remedy="A part did not answer in its time: run it where nothing else is at work.",
        ) from error


def others_share() -> float:
    """Return the share of the processors that is in use while this process waits for a second."""
    before_idle, before = _processor_time()
    time.sleep(_LOOK_SECONDS)
    after_idle, after = _processor_time()
    return 1 - (after_idle - before_idle) / max(1, after - before)


def _processor_time() -> tuple[int, int]:
    """Return idle and total time of all processors since the machine's start, in the kernel's ticks."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)
