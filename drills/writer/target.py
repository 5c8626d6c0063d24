"""What the writers write to, and the outcome that each write may have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drills.wire import WriterName
from hms.ledger import Outcome


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told of its write, in the ledger's words."""

    outcome: Outcome
    detail: str = ""


ACKNOWLEDGED = Told("acknowledged")


@dataclass(frozen=True, slots=True)
class Contents:
    """What the nodes have of a trial: per node each key and how often; `authoritative` is the primary's name.

    `unread` says which nodes could not be read, and why.
    """

    nodes: dict[str, dict[str, int]]
    authoritative: str
    unread: tuple[str, ...] = ()


class Target(Protocol):
    """One way to write durably, as a good client of it does.

    `write` sends at most once and never raises for what a server or a network does. It calls `begin` right before the
    first byte may leave; a write for which it was not called was not sent, and is refused.
    """

    name: WriterName

    async def prepare(self, prefix: str, next_seq: int) -> None:
        """Make ready for a trial whose keys begin with `prefix`; raise `OSError` if that fails.

        `next_seq` is 0, or how far the trial had come when its program was killed.
        """

    def key(self, seq: int) -> str:
        """Return the key of the write `seq`, unique in this trial."""

    async def write(self, key: str, begin: Callable[[], None]) -> Told:
        """Write `key` once."""

    async def contents(self) -> Contents:
        """Read back what each node has of this trial, once all have what the primary has.

        Raise `OSError` where the primary does not answer.
        """

    async def discard(self) -> None:
        """Remove this trial's writes."""

    async def close(self) -> None:
        """Close all connections."""
