"""The record of reads: what was planted in a history is found, and nothing else."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hms.errors import EvidenceError
from hms.ledger import Outcome, Write, write_gap
from hms.reads import Read, read_gap, read_reads, since, staleness_seconds

OUTCOMES: tuple[Outcome, ...] = ("acknowledged", "refused", "unknown")

reads = st.builds(
    Read,
    due_ns=st.integers(0, 1000),
    sent_after_ns=st.integers(0, 100),
    took_ns=st.integers(0, 100),
    ok=st.booleans(),
    seen=st.none() | st.integers(-1, 30),
    attempts=st.integers(0, 3),
    detail=st.text(max_size=5),
)


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[Write, ...]:
    outcomes = draw(st.lists(st.sampled_from(OUTCOMES), max_size=30))
    return tuple(write(seq, draw(st.integers(0, 1000)), outcome) for seq, outcome in enumerate(outcomes))


def write(seq: int, sent_ns: int, outcome: Outcome = "acknowledged", *, took_ns: int = 5) -> Write:
    done_ns = None if outcome == "unknown" else sent_ns + took_ns
    return Write(seq=seq, key=f"k{seq}", intended_ns=sent_ns, sent_ns=sent_ns, outcome=outcome, done_ns=done_ns)


def encoded(history: list[Read]) -> bytes:
    return b"".join(msgspec.json.encode(read) + b"\n" for read in history)


@given(st.lists(reads))
def test_what_was_recorded_is_read(history: list[Read]) -> None:
    assert read_reads(encoded(history), source="f") == tuple(history)


@given(st.lists(reads, min_size=1), st.data())
def test_a_record_cut_off_anywhere_loses_its_last_read_alone(history: list[Read], data: st.DataObject) -> None:
    content = encoded(history)
    cut = data.draw(st.integers(0, len(content)))
    whole = content[:cut].count(b"\n")
    assert read_reads(content[:cut], source="f") in {tuple(history[:whole]), tuple(history[: whole + 1])}


@pytest.mark.parametrize("line", [b"{}", b"[1,2]", b"[1,-2,3,true]", b"[1,2,-3,true]", b"\xff", b'["a",1,1,true]'])
def test_a_line_that_is_no_read_is_named(line: bytes) -> None:
    content = encoded([Read(1, 1, 1, ok=True)]) + line + b"\n" + encoded([Read(2, 1, 1, ok=True)])
    with pytest.raises(EvidenceError, match="f, line 2: "):
        read_reads(content, source="f")


@given(st.lists(reads, min_size=1), st.integers(0, 1200))
def test_a_read_gap_is_what_a_write_gap_would_be(history: list[Read], fault_ns: int) -> None:
    as_writes = [
        Write(
            seq=n, key=str(n), intended_ns=r.due_ns, sent_ns=r.sent_ns, done_ns=r.done_ns,
            outcome="acknowledged" if r.ok else "refused",
        )
        for n, r in enumerate(history)
    ]  # fmt: skip
    assert read_gap(history, fault_ns=fault_ns) == write_gap(as_writes, fault_ns=fault_ns)


def test_a_read_that_was_under_way_at_the_fault_is_one_that_it_can_have_harmed() -> None:
    history = [Read(10, 0, 5, ok=True), Read(18, 0, 5, ok=False), Read(30, 0, 5, ok=True)]
    assert since(history, fault_ns=20) == tuple(history[1:])


def naive_staleness(read: Read, ledger: tuple[Write, ...]) -> float:
    """Go through all writes: the definition, word for word."""
    lacking = [
        w.done_ns
        for w in ledger
        if w.outcome == "acknowledged" and w.done_ns is not None and read.seen is not None
        if w.seq > read.seen and w.done_ns < read.sent_ns
    ]
    return (read.sent_ns - min(lacking)) / 1e9 if lacking else 0.0


@given(st.lists(reads), ledgers())
def test_staleness_is_what_going_through_all_writes_gives(history: list[Read], ledger: tuple[Write, ...]) -> None:
    telling = [read for read in history if read.ok and read.seen is not None]
    assert staleness_seconds(history, ledger) == tuple(naive_staleness(read, ledger) for read in telling)


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_planted_stale_read_is_always_caught(lacks: int, later: int) -> None:
    ledger = tuple(write(seq, seq * 100) for seq in range(40))
    seen = 39 - lacks
    read = Read(39 * 100 + 5 + later, 0, 3, ok=True, seen=seen)
    oldest_lacking_ns = (seen + 1) * 100 + 5
    assert staleness_seconds([read], ledger) == ((read.sent_ns - oldest_lacking_ns) / 1e9,)


@pytest.mark.parametrize(
    "read",
    [
        Read(1000, 0, 5, ok=True, seen=9),
        Read(905, 0, 50, ok=True, seen=8),  # write 9 was acknowledged at 905: while the read was under way
        Read(5000, 0, 5, ok=False, seen=None),
        Read(5000, 0, 5, ok=True, seen=None),
        Read(5000, 0, 5, ok=True, seen=12),  # of the writes without an answer it may show any
    ],
)
def test_what_is_not_stale_is_never_called_so(read: Read) -> None:
    ledger = (
        *(write(seq, seq * 100) for seq in range(10)),
        *(write(seq, seq * 100, "unknown") for seq in (10, 11, 12)),
    )
    assert sum(staleness_seconds([read], ledger)) == 0
