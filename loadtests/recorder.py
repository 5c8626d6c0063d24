"""What a generator saw: every arrival accounted for, times in HDR histograms, merged without loss."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types

from hms.evidence import Generator, LoadRun, OperationLoad

HIGHEST_US = 600_000_000
"""Ten minutes; what takes longer is counted as that long, never left out."""

SIGNIFICANT_FIGURES = 3


def new_histogram() -> HdrHistogram:
    """Return an empty histogram of microseconds: 1 us to ten minutes with three significant figures."""
    return HdrHistogram(1, HIGHEST_US, SIGNIFICANT_FIGURES)


def _record_ns(histogram: HdrHistogram, duration_ns: int) -> None:
    histogram.record_value(min(max(duration_ns // 1000, 0), HIGHEST_US))


def _encoded(histogram: HdrHistogram) -> str:
    return str(histogram.encode().decode("ascii"))


def _merged(encoded: Iterable[str]) -> str:
    total = new_histogram()
    for one in encoded:
        total.add(HdrHistogram.decode(one.encode("ascii")))
    return _encoded(total)


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All that one worker saw of one run. Histograms as in `hms.evidence.LoadRun`.

    `streams_completed` are those that ran to their end; `cpu_fraction` is the process's CPU time over the run's time.
    """

    streams_completed: int
    intended: int
    sent: int
    dropped: int
    operations: tuple[OperationLoad, ...]
    lag_histogram: str
    cpu_fraction: float


class _Operation:
    def __init__(self) -> None:
        self.ok = 0
        self.failures: Counter[str] = Counter()
        self.response = new_histogram()
        self.service = new_histogram()

    def frozen(self, name: str) -> OperationLoad:
        return OperationLoad(
            name=name,
            ok=self.ok,
            failed=self.failures.total(),
            failures=dict(sorted(self.failures.items())),
            response_histogram=_encoded(self.response),
            service_histogram=_encoded(self.service),
        )


class Recorder:
    """The account of one worker's run.

    Invariant: intended = sent + dropped; once nothing is in flight, sent = ok + failed, summed over the operations.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.dropped = 0
        self._operations: dict[str, _Operation] = {}
        self._lag = new_histogram()

    def drop(self) -> None:
        """Count an arrival that could not be sent in time."""
        self.dropped += 1

    def start(self, *, intended_ns: int, started_ns: int) -> None:
        """Count an arrival whose request begins, `started_ns - intended_ns` later than the schedule wanted it."""
        self.sent += 1
        _record_ns(self._lag, started_ns - intended_ns)

    def finish(self, name: str, *, intended_ns: int, started_ns: int, ended_ns: int, failure: str) -> None:
        """Record how a request ended; `failure` is empty where it went well. Times on one monotonic clock."""
        operation = self._operations.get(name)
        if operation is None:
            operation = self._operations[name] = _Operation()
        if failure:
            operation.failures[failure] += 1
        else:
            operation.ok += 1
        _record_ns(operation.response, ended_ns - intended_ns)
        _record_ns(operation.service, ended_ns - started_ns)

    def record(self, *, streams_completed: int, cpu_fraction: float) -> WorkerRecord:
        """Return the account as it stands."""
        return WorkerRecord(
            streams_completed=streams_completed,
            intended=self.sent + self.dropped,
            sent=self.sent,
            dropped=self.dropped,
            operations=tuple(self._operations[name].frozen(name) for name in sorted(self._operations)),
            lag_histogram=_encoded(self._lag),
            cpu_fraction=cpu_fraction,
        )


def _merged_operation(name: str, parts: list[OperationLoad]) -> OperationLoad:
    failures: Counter[str] = Counter()
    for part in parts:
        failures.update(part.failures)
    return OperationLoad(
        name=name,
        ok=sum(part.ok for part in parts),
        failed=sum(part.failed for part in parts),
        failures=dict(sorted(failures.items())),
        response_histogram=_merged(part.response_histogram for part in parts),
        service_histogram=_merged(part.service_histogram for part in parts),
    )


def merge_records(
    records: Iterable[WorkerRecord], *, scenario: str, rate_per_second: float, duration_seconds: float, seed: int
) -> LoadRun:
    """Add the workers' accounts up into the run's.

    Exact: the same as if one worker had recorded everything, in any order of `records`. The generator's
    `cpu_fraction` is that of its busiest worker, in cores, since one of them at its limit spoils the whole run.
    """
    workers = list(records)
    names = sorted({operation.name for worker in workers for operation in worker.operations})
    parts = [operation for worker in workers for operation in worker.operations]
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
            lag_histogram=_merged(worker.lag_histogram for worker in workers),
        ),
    )
