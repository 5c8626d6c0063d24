"""What the readers read from, and what may come of a read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hms.evidence import ReaderName

SEARCH_PAUSE_SECONDS = 0.1
"""Between two questions while a reader's member is searched for. A writer, whose gap is measured, asks more often."""

Newest = Callable[[], int]
"""The number of the newest write of the reader's writer that is acknowledged; -1 while there is none."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a read: see `hms.reads.Read` for the fields."""

    ok: bool
    seen: int | None = None
    attempts: int = 1
    detail: str = ""


def failed(detail: str, *, attempts: int = 1) -> Found:
    """Return a read that failed, and why."""
    return Found(ok=False, attempts=attempts, detail=detail)


class ReadTarget(Protocol):
    """One way to read, as a good client of it does. `read` never raises for what a server or a network does."""

    name: ReaderName

    async def prepare(self, prefix: str) -> None:
        """Make ready for a trial whose writers' keys begin with `prefix`."""

    async def read(self, newest: Newest) -> Found:
        """Read once."""

    async def close(self) -> None:
        """Close all connections."""
