"""The workers' records as the master holds them: the latest of each."""

from hms.evidence import LoadRun
from loadtests.recorder import WorkerRecord, merge_records


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

    def merged(self, *, scenario: str, rate_per_second: float, duration_seconds: float, seed: int) -> LoadRun:
        """Return the run's account as far as it is known."""
        return merge_records(
            self._by_worker.values(),
            scenario=scenario, rate_per_second=rate_per_second, duration_seconds=duration_seconds, seed=seed,
        )  # fmt: skip
