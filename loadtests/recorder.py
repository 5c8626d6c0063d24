"""What one worker saw: every arrival accounted for, times in HDR histograms."""

from collections import Counter

import msgspec
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types

from hms.evidence import OperationLoad, Window
from loadtests.windows import WindowBook

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
    windows: tuple[Window, ...] = ()


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
        self._windows = WindowBook()

    def begin(self, *, origin_ns: int, window_seconds: float) -> None:
        """Keep an account by windows, too, from `origin_ns` on; the first call counts, 0 seconds are no windows."""
        self._windows.begin(origin_ns=origin_ns, window_seconds=window_seconds)

    def drop(self, *, intended_ns: int) -> None:
        """Count an arrival that could not be sent in time."""
        self.dropped += 1
        self._windows.drop(intended_ns)

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
        self._windows.finish(name, intended_ns, ended_ns - intended_ns, ok=not failure)

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
            windows=self._windows.frozen(),
        )
