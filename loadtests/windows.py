"""One worker's account by windows of time: what makes a stall, a drift or a recovery visible that totals average away.

A request belongs to the window in which it was due, however late it was sent or answered.
"""

import time

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # the package ships no types

from hms.evidence import Window, WindowOperation

HIGHEST_US = 600_000_000
WINDOW_FIGURES = 2
"""Significant figures: 1 % is less than a window's own chance, and hundreds of windows fit into a worker's memory."""

MOST_WINDOWS = 300
NANOSECONDS = 1_000_000_000


def window_seconds_for(duration_seconds: float | None) -> float:
    """Return the windows' length: a second, more where there would be over `MOST_WINDOWS`; 0 for a run without end."""
    if duration_seconds is None:
        return 0.0
    return float(max(1, -(-round(duration_seconds) // MOST_WINDOWS)))


def new_window_histogram() -> HdrHistogram:
    """Return an empty histogram of microseconds for a window."""
    return HdrHistogram(1, HIGHEST_US, WINDOW_FIGURES)


class _Operation:
    def __init__(self) -> None:
        self.ok = 0
        self.failed = 0
        self.response = new_window_histogram()


class WindowBook:
    """The windows as they fill; without a `begin` there are none."""

    def __init__(self) -> None:
        self._origin_ns: int | None = None
        self._length_ns = 0
        self._operations: dict[int, dict[str, _Operation]] = {}
        self._dropped: dict[int, int] = {}
        self._cpu: dict[int, float] = {}
        self._cpu_since = (0, 0.0)

    def begin(self, *, origin_ns: int, window_seconds: float) -> None:
        """Count windows of this length from `origin_ns` on; only the first call does."""
        if self._origin_ns is None:
            self._origin_ns = origin_ns
            self._length_ns = round(window_seconds * NANOSECONDS)
            self._cpu_since = (0, time.process_time())

    def drop(self, intended_ns: int) -> None:
        """Count an arrival that was dropped."""
        number = self._number(intended_ns)
        if number is not None:
            self._dropped[number] = self._dropped.get(number, 0) + 1

    def finish(self, name: str, intended_ns: int, response_ns: int, *, ok: bool) -> None:
        """Record how a request ended, `response_ns` after it was due."""
        number = self._number(intended_ns)
        if number is None:
            return
        operations = self._operations.setdefault(number, {})
        operation = operations.get(name)
        if operation is None:
            operation = operations[name] = _Operation()
        operation.ok += ok
        operation.failed += not ok
        operation.response.record_value(min(max(response_ns // 1000, 0), HIGHEST_US))

    def frozen(self) -> tuple[Window, ...]:
        """Return the windows in which something was due, in order."""
        numbers = sorted(self._operations.keys() | self._dropped.keys())
        return tuple(
            Window(
                number=number,
                dropped=self._dropped.get(number, 0),
                cpu_fraction=self._cpu.get(number, 0.0),
                operations=tuple(
                    WindowOperation(
                        name=name, ok=one.ok, failed=one.failed,
                        response_histogram=str(one.response.encode().decode("ascii")),
                    )
                    for name, one in sorted(self._operations.get(number, {}).items())
                ),
            )
            for number in numbers
        )  # fmt: skip

    def _number(self, intended_ns: int) -> int | None:
        if self._origin_ns is None or not self._length_ns:
            return None
        self._read_cpu()
        return max(0, (intended_ns - self._origin_ns) // self._length_ns)

    def _read_cpu(self) -> None:
        """Book the processor time of the window that has just passed; the next one begins with this request."""
        now = max(0, (time.monotonic_ns() - (self._origin_ns or 0)) // self._length_ns)
        number, used = self._cpu_since
        if now > number:
            spent = time.process_time()
            self._cpu[number] = (spent - used) / ((now - number) * self._length_ns / NANOSECONDS)
            self._cpu_since = (now, spent)
