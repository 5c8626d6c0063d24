"""The ledger of writes: what a client asked for, what it was told, and the reckoning against what is there.

Each write has a unique key. Its `Intent` is on disk before it is sent, its `Answer` as soon as one is had; an intent
without an answer is `unknown`, however the client died. All times are nanoseconds of the writer's own monotonic clock.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Outcome = Literal["acknowledged", "refused", "unknown"]


class Intent(msgspec.Struct, frozen=True, kw_only=True, tag="intent"):
    """A write that is about to be sent; `intended_ns` is when the open-loop schedule wanted it."""

    seq: int
    key: str
    intended_ns: int
    sent_ns: int


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """What the client was told of a write.

    `refused` only where the server said no and did not do it; a broken connection or a timeout is `unknown`.
    """

    seq: int
    outcome: Outcome
    done_ns: int
    detail: str = ""


Record = Intent | Answer


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One write with its outcome; `done_ns` is None where no answer ever came."""

    seq: int
    key: str
    intended_ns: int
    sent_ns: int
    outcome: Outcome
    done_ns: int | None


class Reckoning(msgspec.Struct, frozen=True, kw_only=True):
    """The writes of a ledger held against what a node has.

    `lost`: acknowledged and absent. `duplicated`: present more than once. `resurrected`: refused and present.
    `unknown_happened`: those of the unknown that are there. `foreign`: present and never intended.
    """

    acknowledged: int
    refused: int
    unknown: int
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    resurrected: tuple[str, ...]
    unknown_happened: int
    foreign: tuple[str, ...]


def reckon(writes: Iterable[Write], present: Mapping[str, int]) -> Reckoning:
    """Hold a ledger against the keys that a node has, each with how often it is there.

    Invariant: every acknowledged write is in exactly one of {present once, `duplicated`, `lost`}; every key present is
    intended or `foreign`. No I/O, no clock; the order of `writes` does not matter.
    """
    counts = {"acknowledged": 0, "refused": 0, "unknown": 0}
    lost: list[str] = []
    resurrected: list[str] = []
    intended: set[str] = set()
    unknown_happened = 0
    for write in writes:
        intended.add(write.key)
        counts[write.outcome] += 1
        there = present.get(write.key, 0)
        if write.outcome == "acknowledged" and there == 0:
            lost.append(write.key)
        elif write.outcome == "refused" and there > 0:
            resurrected.append(write.key)
        elif write.outcome == "unknown" and there > 0:
            unknown_happened += 1
    return Reckoning(
        acknowledged=counts["acknowledged"],
        refused=counts["refused"],
        unknown=counts["unknown"],
        lost=tuple(sorted(lost)),
        duplicated=tuple(sorted(key for key, count in present.items() if count > 1)),
        resurrected=tuple(sorted(resurrected)),
        unknown_happened=unknown_happened,
        foreign=tuple(sorted(present.keys() - intended)),
    )
