"""The workers' records as the master holds them: the latest of each."""

from hms.evidence import LoadRun
from loadtests.merging import merge_records
from loadtests.options import StreamOptions
from loadtests.recorder import WorkerRecord


class LatestRecords:
    """The latest record of each worker. A record is a worker's whole account, so a newer one replaces an older one."""

    def __init__(self) -> None:
        self._by_worker: dict[str, WorkerRecord] = {}

    def put(self, worker: str, record: WorkerRecord) -> None:
        """Take a worker's account."""
        self._by_worker[worker] = record

    @property
    def streams_completed(self) -> int:
        """How many streams ran to their end, over all workers."""
        return sum(record.streams_completed for record in self._by_worker.values())

    def merged(self, options: StreamOptions) -> LoadRun:
        """Return the run's account as far as it is known; `options` are what was wanted."""
        return merge_records(
            self._by_worker.values(),
            scenario=options.scenario or "by hand",
            rate_per_second=options.rate_per_second * options.streams,
            duration_seconds=options.seconds or 0.0,
            seed=options.seed,
            arrivals=options.arrivals,
            shape=options.shape,
            window_seconds=options.window_seconds,
        )
