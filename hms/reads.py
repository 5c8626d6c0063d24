"""The record of reads: when each was due, sent and answered, and the newest write that it saw.

A line of a `*.reads.jsonl` is one `Read` as a JSON array, appended when the read has ended, good or not. Reads change
nothing, so none has to be on disk before it is sent: one that was under way when its program was killed is simply not
there. Times are nanoseconds of the same monotonic clock as the ledgers' of the trial.

Pure: bytes and records in, records out.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import msgspec

from hms.errors import EvidenceError
from hms.ledger import Gap, Write, longest_span_without


class Read(msgspec.Struct, frozen=True, array_like=True):
    """One read: `[due_ns, sent_after_ns, took_ns, ok, seen, attempts, detail]`.

    `due_ns` is when the open-loop schedule wanted it; it was sent `sent_after_ns` later and ended `took_ns` after that.
    `ok` is an answer whose content was right. `seen` is the newest write of the trial that the answer shows, by its
    number; -1 where it shows none, null where it tells nothing of writes. `attempts` are the connections that it took.
    `detail` is why it failed, or `cache` where a good answer says of itself that it came from there.
    """

    due_ns: int
    sent_after_ns: int
    took_ns: int
    ok: bool
    seen: int | None = None
    attempts: int = 1
    detail: str = ""

    @property
    def sent_ns(self) -> int:
        """When it was sent, or given up unsent."""
        return self.due_ns + self.sent_after_ns

    @property
    def done_ns(self) -> int:
        """When it was answered or given up."""
        return self.sent_ns + self.took_ns


def read_reads(content: bytes, *, source: str) -> tuple[Read, ...]:
    """Return the reads of a file's bytes, in the order in which they ended.

    A torn last line is dropped: it is what a kill leaves. Anything else that does not fit raises `EvidenceError` with
    `source` and the line: a line that is no read, or times that run backwards.
    """
    decoder = msgspec.json.Decoder(Read)
    found: list[Read] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        if last and not line:
            break
        try:
            read = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if last:
                break
            raise EvidenceError(f"{source}, line {number}: not a read: {error}") from error
        if read.sent_after_ns < 0 or read.took_ns < 0 or read.attempts < 0:
            raise EvidenceError(f"{source}, line {number}: a read that ended before it was sent, or sent before due")
        found.append(read)
    return tuple(found)


def read_gap(reads: Iterable[Read], *, fault_ns: int) -> Gap:
    """Return the longest span at or after `fault_ns` in which no read was both sent and answered well.

    The same definition as `hms.ledger.write_gap`, for the same reasons. `ValueError` without any read.
    """
    everything = list(reads)
    if not everything:
        raise ValueError("a read gap needs at least one read")
    closed_ns = max(fault_ns, *(read.done_ns for read in everything))
    whole = sorted((read.sent_ns, read.done_ns) for read in everything if read.ok and read.sent_ns > fault_ns)
    return longest_span_without(whole, start_ns=fault_ns, closed_ns=closed_ns)


def since(reads: Iterable[Read], *, fault_ns: int) -> tuple[Read, ...]:
    """Return the reads that a fault can have harmed: those that ended at or after it, when ever they were sent."""
    return tuple(read for read in reads if read.done_ns >= fault_ns)


def staleness_seconds(reads: Sequence[Read], writes: Iterable[Write]) -> tuple[float, ...]:
    """Return how stale each good answer was that tells of writes; 0 where it lacked nothing that it had to have.

    A read is stale if a write newer than the newest that it saw had been acknowledged before the read was *sent*. It is
    as stale as the oldest such write's acknowledgement is old at that moment. A write that was acknowledged while the
    read was under way need not be in it; nor must one whose outcome is unknown, though it may.

    Invariant: never negative; more acknowledged writes, or an older newest write seen, never make it less.
    """
    acknowledged = sorted((w.seq, w.done_ns) for w in writes if w.outcome == "acknowledged" and w.done_ns is not None)
    numbers = [seq for seq, _ in acknowledged]
    earliest: list[int] = []
    for _, done_ns in reversed(acknowledged):
        earliest.append(min(done_ns, earliest[-1]) if earliest else done_ns)
    earliest.reverse()
    found: list[float] = []
    for read in reads:
        if not read.ok or read.seen is None:
            continue
        newer = bisect_right(numbers, read.seen)
        lacks_since_ns = earliest[newer] if newer < len(earliest) else read.sent_ns
        found.append(max(0, read.sent_ns - lacks_since_ns) / 1e9)
    return tuple(found)
