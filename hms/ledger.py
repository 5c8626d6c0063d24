"""The ledger of writes: what a client asked for, what it was told, and the reckoning against what is there.

Each write has a unique key. Its `Intent` is on disk before it is sent, its `Answer` as soon as one is had; an intent
without an answer is `unknown`, however the client died. All times are nanoseconds of the writer's own monotonic clock.

Pure: bytes and records in, records out.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from hms.errors import EvidenceError

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


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """The longest span after a fault in which no write was both sent and acknowledged; or no read sent and answered.

    `ended` is False where the span was still open when the record closed: the stack had not recovered, and the length
    is only the least that it can have been.
    """

    start_ns: int
    end_ns: int
    ended: bool

    @property
    def seconds(self) -> float:
        """Return the span's length in seconds."""
        return (self.end_ns - self.start_ns) / 1e9


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


def read_ledger(content: bytes, *, source: str) -> tuple[Write, ...]:
    """Return the writes of a ledger's bytes in the order in which they were intended.

    A last line without its newline is what a kill leaves. If it is whole it counts; if it is torn it is dropped, which
    is right for both kinds: a torn intent was never sent, and a torn answer leaves its write `unknown`. Anything else
    that does not fit raises `EvidenceError` with `source` and the line: a line that is no record, a sequence number or
    key that comes twice, an answer to nothing, a second answer, an answer from before its question.
    """
    writes: dict[int, Write] = {}
    keys: set[str] = set()
    decoder = msgspec.json.Decoder(Record)
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        if last and not line:
            break
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if last:
                break
            raise EvidenceError(f"{source}, line {number}: not a record of a ledger: {error}") from error
        if isinstance(record, Intent):
            if record.seq in writes or record.key in keys:
                raise EvidenceError(f"{source}, line {number}: write {record.seq} with key {record.key!r} comes twice")
            keys.add(record.key)
            writes[record.seq] = Write(
                seq=record.seq, key=record.key, intended_ns=record.intended_ns, sent_ns=record.sent_ns,
                outcome="unknown", done_ns=None,
            )  # fmt: skip
        else:
            writes[record.seq] = _answered(writes.get(record.seq), record, where=f"{source}, line {number}")
    return tuple(writes.values())


def _answered(write: Write | None, answer: Answer, *, where: str) -> Write:
    if write is None:
        raise EvidenceError(f"{where}: answer to write {answer.seq}, which was never intended")
    if write.done_ns is not None:
        raise EvidenceError(f"{where}: second answer to write {answer.seq}")
    if answer.done_ns < write.sent_ns:
        raise EvidenceError(
            f"{where}: write {answer.seq} was answered {write.sent_ns - answer.done_ns} ns before it was sent"
        )
    return msgspec.structs.replace(write, outcome=answer.outcome, done_ns=answer.done_ns)


def write_gap(writes: Iterable[Write], *, fault_ns: int) -> Gap:
    """Return the longest span at or after `fault_ns` in which no write was both sent and acknowledged.

    An acknowledged write shows that the stack took writes at some moment between `sent_ns` and `done_ns`, no more. So
    a span without a *whole* write in it may have been an outage from its first to its last nanosecond, and is counted
    as one. From this follows what an auditor asks for:

    - an acknowledgement that was in flight at the fault ends nothing: its write was sent before;
    - nor does a write that the dying primary still took between `fault_ns` and its death: the span then begins when
      that write was *sent*, which was before the death;
    - if the fault stopped nothing, the gap is the longest ordinary span, never zero;
    - a second outage within the trial counts if it is the longer one;
    - a span still open when the ledger closes counts too; if it is the longest, the gap has not `ended`.

    Invariant: the gap is at least as long as every outage that the stack had between `fault_ns` and the ledger's end,
    and exceeds the longest by at most the time between two writes and the time that one takes. Fewer
    acknowledgements or an earlier `fault_ns` never make it shorter. Raises `ValueError` without any write.
    """
    everything = list(writes)
    if not everything:
        raise ValueError("a write gap needs a ledger with at least one write")
    closed_ns = max(fault_ns, *(w.sent_ns if w.done_ns is None else w.done_ns for w in everything))
    whole = sorted(
        (w.sent_ns, w.done_ns)
        for w in everything
        if w.outcome == "acknowledged" and w.done_ns is not None and w.sent_ns > fault_ns
    )
    return longest_span_without(whole, start_ns=fault_ns, closed_ns=closed_ns)


def longest_span_without(whole: Sequence[tuple[int, int]], *, start_ns: int, closed_ns: int) -> Gap:
    """Return the longest span without a whole write; `whole` are (sent, done), sorted, all sent after `start_ns`.

    A longest span begins at `start_ns` or where a write was sent, and ends where the first of those sent later is done.
    """
    longest = Gap(start_ns=whole[-1][0] if whole else start_ns, end_ns=closed_ns, ended=False)
    earliest_done: int | None = None
    starts = [start_ns, *(sent for sent, _ in whole)]
    for index in range(len(whole) - 1, -1, -1):
        sent, done = whole[index]
        earliest_done = done if earliest_done is None else min(earliest_done, done)
        start = starts[index]
        # Two writes sent in the same nanosecond: neither was sent after the other, so the span goes on past both.
        if start < sent and earliest_done - start >= longest.end_ns - longest.start_ns:
            longest = Gap(start_ns=start, end_ns=earliest_done, ended=True)
    return longest
