"""The workers' accounts added up: the same as if one worker had recorded everything, in any order."""

from collections import Counter
from collections.abc import Iterable

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types

from hms.evidence import Generator, LoadRun, Objective, OperationLoad, Window, WindowOperation
from loadtests.recorder import WorkerRecord, new_histogram
from loadtests.schedule import Arrivals
from loadtests.windows import new_window_histogram


def _merged(encoded: Iterable[str], total: HdrHistogram) -> str:
    for one in encoded:
        total.add(HdrHistogram.decode(one.encode("ascii")))
    return str(total.encode().decode("ascii"))


def _merged_operation(name: str, parts: list[OperationLoad]) -> OperationLoad:
    failures: Counter[str] = Counter()
    for part in parts:
        failures.update(part.failures)
    return OperationLoad(
        name=name,
        ok=sum(part.ok for part in parts),
        failed=sum(part.failed for part in parts),
        failures=dict(sorted(failures.items())),
        response_histogram=_merged((part.response_histogram for part in parts), new_histogram()),
        service_histogram=_merged((part.service_histogram for part in parts), new_histogram()),
    )


def _merged_window(number: int, parts: list[Window]) -> Window:
    operations = [operation for part in parts for operation in part.operations]
    return Window(
        number=number,
        dropped=sum(part.dropped for part in parts),
        cpu_fraction=max(part.cpu_fraction for part in parts),
        operations=tuple(
            _merged_window_operation(name, [operation for operation in operations if operation.name == name])
            for name in sorted({operation.name for operation in operations})
        ),
    )


def _merged_window_operation(name: str, parts: list[WindowOperation]) -> WindowOperation:
    if len(parts) == 1:
        return parts[0]
    return WindowOperation(
        name=name,
        ok=sum(part.ok for part in parts),
        failed=sum(part.failed for part in parts),
        response_histogram=_merged((part.response_histogram for part in parts), new_window_histogram()),
    )


def merge_records(
    records: Iterable[WorkerRecord],
    *,
    scenario: str,
    rate_per_second: float,
    duration_seconds: float,
    seed: int,
    arrivals: Arrivals = "poisson",
    shape: str = "",
    objective: Objective | None = None,
    window_seconds: float = 0.0,
) -> LoadRun:
    """Return the run's account; the keywords say what was wanted.

    The generator's `cpu_fraction` is that of its busiest worker, in cores, since one of them at its limit spoils the
    whole run.
    """
    workers = list(records)
    names = sorted({operation.name for worker in workers for operation in worker.operations})
    parts = [operation for worker in workers for operation in worker.operations]
    windows = [window for worker in workers for window in worker.windows]
    return LoadRun(
        scenario=scenario,
        rate_per_second=rate_per_second,
        duration_seconds=duration_seconds,
        seed=seed,
        intended=sum(worker.intended for worker in workers),
        sent=sum(worker.sent for worker in workers),
        dropped=sum(worker.dropped for worker in workers),
        operations=tuple(_merged_operation(name, [p for p in parts if p.name == name]) for name in names),
        generator=Generator(
            workers=len(workers),
            cpu_fraction=max((worker.cpu_fraction for worker in workers), default=0.0),
            lag_histogram=_merged((worker.lag_histogram for worker in workers), new_histogram()),
        ),
        arrivals=arrivals,
        shape=shape,
        objective=objective,
        window_seconds=window_seconds,
        windows=tuple(
            _merged_window(number, [window for window in windows if window.number == number])
            for number in sorted({window.number for window in windows})
        ),
    )
