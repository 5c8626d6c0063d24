"""The ledger: what a kill leaves can be read, damage cannot, and no write gap is ever flattering."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hms.errors import EvidenceError
from hms.ledger import Answer, Intent, Outcome, Record, Write, read_ledger, reckon, write_gap

OUTCOMES: tuple[Outcome, ...] = ("acknowledged", "refused", "unknown")


def write(seq: int, sent: int, done: int | None, outcome: Outcome = "acknowledged") -> Write:
    return Write(seq=seq, key=f"k{seq}", intended_ns=sent, sent_ns=sent, outcome=outcome, done_ns=done)


def encoded(*records: Record) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


INTENT = Intent(seq=1, key="a", intended_ns=10, sent_ns=12)
ANSWER = Answer(seq=1, outcome="acknowledged", done_ns=20)


@st.composite
def histories(draw: st.DrawFn) -> list[Write]:
    sents = draw(st.lists(st.integers(0, 200), min_size=1, max_size=25))
    result = []
    for seq, sent in enumerate(sents):
        outcome = draw(st.sampled_from(OUTCOMES))
        silent = outcome == "unknown" and draw(st.booleans())
        result.append(write(seq, sent, None if silent else sent + draw(st.integers(0, 60)), outcome))
    return result


def longest_span_by_trying_all(writes: list[Write], fault_ns: int) -> int:
    """Try every pair of instants as ends of a span: the definition, without any cleverness."""
    closed = max([fault_ns, *(w.sent_ns if w.done_ns is None else w.done_ns for w in writes)])
    whole = [(w.sent_ns, w.done_ns) for w in writes if w.outcome == "acknowledged" and w.done_ns is not None]
    starts = {fault_ns, *(sent for sent, _ in whole if sent > fault_ns)}
    ends = {closed, *(done for _, done in whole)}
    spans = [
        end - start
        for start in starts
        for end in ends
        if end >= start and not any(sent > start and done < end for sent, done in whole)
    ]
    return max(spans)


@given(histories(), st.integers(0, 250))
def test_the_gap_is_the_longest_span_without_a_whole_write(writes: list[Write], fault_ns: int) -> None:
    gap = write_gap(writes, fault_ns=fault_ns)
    assert gap.end_ns - gap.start_ns == longest_span_by_trying_all(writes, fault_ns)
    assert gap.start_ns >= fault_ns


@given(
    outage=st.tuples(st.integers(0, 100), st.integers(1, 100)),
    attempts=st.lists(st.tuples(st.integers(-50, 300), st.integers(0, 30), st.integers(0, 30)), min_size=1),
    early_ns=st.integers(0, 20),
)
def test_no_outage_is_longer_than_the_gap(
    outage: tuple[int, int], attempts: list[tuple[int, int, int]], early_ns: int
) -> None:
    """A server takes each write at one moment, and none in the outage; replies may be slow, the fault's time early."""
    begins, length = outage
    writes = []
    for seq, (sent, until_taken, until_reply) in enumerate(attempts):
        taken = begins <= sent + until_taken < begins + length
        writes.append(write(seq, sent, sent + until_taken + until_reply, "unknown" if taken else "acknowledged"))
    closed = max(w.done_ns or 0 for w in writes)
    gap = write_gap(writes, fault_ns=begins - early_ns)
    assert gap.end_ns - gap.start_ns >= min(begins + length, closed) - begins


@given(histories(), st.integers(0, 250), st.integers(0, 40), st.data())
def test_fewer_acknowledgements_or_an_earlier_fault_never_shorten_the_gap(
    writes: list[Write], fault_ns: int, earlier: int, data: st.DataObject
) -> None:
    gap = write_gap(writes, fault_ns=fault_ns)
    spoiled = data.draw(st.sampled_from(writes))
    worse = [msgspec.structs.replace(w, outcome="unknown") if w is spoiled else w for w in writes]
    longer = write_gap(worse, fault_ns=fault_ns - earlier)
    assert longer.end_ns - longer.start_ns >= gap.end_ns - gap.start_ns


def test_a_reply_in_flight_at_the_fault_ends_nothing() -> None:
    gap = write_gap([write(0, 95, 130), write(1, 110, None, "unknown"), write(2, 1300, 1310)], fault_ns=100)
    assert (gap.start_ns, gap.end_ns, gap.ended) == (100, 1310, True)


def test_a_write_that_the_dying_primary_still_took_ends_nothing() -> None:
    gap = write_gap([write(0, 102, 104), write(1, 110, None, "unknown"), write(2, 1300, 1310)], fault_ns=100)
    assert (gap.start_ns, gap.end_ns) == (102, 1310)


def test_the_second_outage_counts_if_it_is_the_longer_one() -> None:
    writes = [write(0, 90, 95), write(1, 300, 310), write(2, 320, 330), write(3, 900, 910)]
    assert write_gap(writes, fault_ns=100).end_ns == 910


def test_a_stack_that_takes_no_write_again_has_not_recovered() -> None:
    gap = write_gap([write(0, 90, 95), write(1, 110, 600, "unknown"), write(2, 5000, None, "unknown")], fault_ns=100)
    assert (gap.end_ns, gap.ended) == (5000, False)


def test_a_stack_that_fails_again_for_good_has_not_recovered() -> None:
    writes = [write(0, 90, 95), write(1, 300, 310), write(2, 400, 2000, "refused")]
    gap = write_gap(writes, fault_ns=100)
    assert (gap.start_ns, gap.end_ns, gap.ended) == (300, 2000, False)


def test_an_empty_ledger_has_no_gap() -> None:
    with pytest.raises(ValueError, match="at least one write"):
        write_gap([], fault_ns=0)


@given(histories(), st.data())
def test_a_planted_loss_duplicate_or_resurrection_is_caught(writes: list[Write], data: st.DataObject) -> None:
    honest = {w.key: 1 for w in writes if w.outcome == "acknowledged"}
    clean = reckon(writes, honest)
    assert (clean.lost, clean.duplicated, clean.resurrected, clean.foreign) == ((), (), (), ())
    victim = data.draw(st.sampled_from(writes))
    if victim.outcome == "acknowledged":
        assert reckon(writes, {k: v for k, v in honest.items() if k != victim.key}).lost == (victim.key,)
        assert reckon(writes, honest | {victim.key: 2}).duplicated == (victim.key,)
    else:
        reckoning = reckon(writes, honest | {victim.key: 1})
        assert reckoning.resurrected == ((victim.key,) if victim.outcome == "refused" else ())
        assert reckoning.unknown_happened == (1 if victim.outcome == "unknown" else 0)
    assert reckon(writes, honest | {"nobody's": 1}).foreign == ("nobody's",)


@given(histories())
def test_every_acknowledged_write_is_accounted_for_once(writes: list[Write]) -> None:
    present = {w.key: w.seq % 3 for w in writes if w.seq % 3}
    reckoning = reckon(writes, present)
    acknowledged = {w.key for w in writes if w.outcome == "acknowledged"}
    once = {key for key in acknowledged if present.get(key) == 1}
    twice = acknowledged & set(reckoning.duplicated)
    assert len(once) + len(twice) + len(reckoning.lost) == reckoning.acknowledged == len(acknowledged)


def test_a_ledger_is_read() -> None:
    writes = read_ledger(encoded(INTENT, ANSWER), source="l")
    assert writes == (Write(seq=1, key="a", intended_ns=10, sent_ns=12, outcome="acknowledged", done_ns=20),)


def test_an_intent_without_an_answer_is_unknown() -> None:
    assert read_ledger(encoded(INTENT), source="l")[0].outcome == "unknown"


@given(st.integers(0, len(encoded(INTENT, ANSWER))))
def test_a_ledger_cut_off_by_a_kill_at_any_byte_can_be_read(length: int) -> None:
    first, whole = len(encoded(INTENT)), encoded(INTENT, ANSWER)
    writes = read_ledger(whole[:length], source="l")
    assert len(writes) == (1 if length >= first - 1 else 0)
    assert [w.outcome for w in writes] == ["acknowledged" if length >= len(whole) - 1 else "unknown"] * len(writes)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"type":"intent","se\n' + encoded(ANSWER), "line 1: not a record"),
        (b"\xff\xff\n", "line 1: not a record"),
        (encoded(INTENT, INTENT), "line 2: write 1 with key 'a' comes twice"),
        (encoded(INTENT, msgspec.structs.replace(INTENT, seq=2)), "line 2: write 2 with key 'a' comes twice"),
        (encoded(ANSWER), "line 1: answer to write 1, which was never intended"),
        (encoded(INTENT, ANSWER, ANSWER), "line 3: second answer to write 1"),
        (encoded(INTENT, msgspec.structs.replace(ANSWER, done_ns=11)), "line 2: write 1 was answered 1 ns before"),
    ],
)
def test_a_damaged_ledger_is_refused_with_its_line(content: bytes, complaint: str) -> None:
    with pytest.raises(EvidenceError, match=f"here, {complaint}"):
        read_ledger(content, source="here")
