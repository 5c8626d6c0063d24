"""What this process uses, and the regular cleaning up of what it keeps of its clients.

All that is kept has a bound of its own; the cleaning gives back early what no longer serves.
"""

import asyncio
import logging
import resource
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.middleware.concurrency import Slots

_LOG = logging.getLogger("app.resources")

CLEAN_UP_SECONDS = 300.0
_SAMPLE_SECONDS = 0.25
_REMEMBERED_SECONDS = 60.0
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NO_LIMIT_BYTES = 1 << 60


class Store(Protocol):
    """Something that is kept of clients, of bounded size."""

    def __len__(self) -> int:
        """Count what is kept."""

    def clean_up(self) -> int:
        """Forget what no longer serves; return how much."""


class Monitor(Collector):
    """Watches the event loop, cleans up, and says what is used."""

    def __init__(
        self,
        *,
        slots: Slots,
        enterprise: Slots,
        oldest_request_seconds: Callable[[], float],
        stores: Mapping[str, Store],
        connections_limit: int,
        clean_up_seconds: float = CLEAN_UP_SECONDS,
    ) -> None:
        self.slots = slots
        self.enterprise = enterprise
        self.oldest_request_seconds = oldest_request_seconds
        self.stores = stores
        self.connections: Callable[[], int] = lambda: 0
        self.connections_limit = connections_limit
        self.memory_limit_bytes = _memory_limit_bytes()
        self._clean_up_seconds = clean_up_seconds
        self._lags: deque[float] = deque(maxlen=round(_REMEMBERED_SECONDS / _SAMPLE_SECONDS))
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def lag_seconds(self) -> float:
        """Return by how much a timer was late, at most, in the last minute."""
        return max(self._lags, default=0.0)

    async def start(self) -> None:
        """Begin to watch."""
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._clean())]

    async def stop(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def memory_bytes(self) -> int:
        """Return the memory of this process that is in RAM."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()

    def clean_up(self) -> None:
        """Clean up now, and say what went."""
        started = monotonic()
        gone = {name: store.clean_up() for name, store in self.stores.items()}
        left = {name: len(store) for name, store in self.stores.items()}
        fields = {"gone": gone, "left": left, "seconds": round(monotonic() - started, 4)}
        _LOG.info("cleaned up", extra={"fields": fields})

    def collect(self) -> Iterator[Metric]:
        """Yield the figures as they are now."""
        slots = GaugeMetricFamily("hms_app_slots", "Slots for requests, by state.", labels=("kind", "state"))
        for kind, each in (("request", self.slots), ("enterprise", self.enterprise)):
            slots.add_metric((kind, "used"), each.in_use)
            slots.add_metric((kind, "waited for"), each.waiting)
            slots.add_metric((kind, "limit"), each.most)
        yield slots
        kept = GaugeMetricFamily("hms_app_kept", "What is kept of clients, by kind.", labels=("kind",))
        for name, store in self.stores.items():
            kept.add_metric((name,), len(store))
        yield kept
        yield _gauge(
            "hms_app_oldest_request_seconds", "Age of the request answered for longest.", self.oldest_request_seconds()
        )
        yield _gauge(
            "hms_app_event_loop_lag_seconds", "How late a timer was, at most, in the last minute.", self.lag_seconds
        )
        yield _gauge("hms_app_connections", "Connections of clients.", self.connections())

    async def _watch(self) -> None:
        while True:
            due = monotonic() + _SAMPLE_SECONDS
            await asyncio.sleep(_SAMPLE_SECONDS)
            self._lags.append(max(0.0, monotonic() - due))

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(self._clean_up_seconds)
            self.clean_up()


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric((), value)
    return family


def _memory_limit_bytes() -> int | None:
    for path in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            limit = int(path.read_text(encoding="ascii"))
            return limit if limit < _NO_LIMIT_BYTES else None
    return None
