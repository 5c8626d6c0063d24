"""Reads and controls made up for tests, to stand beside `evidence_samples`."""

import msgspec

from hms.evidence import Event, Present, Reader, Trial
from hms.evidence_directory import EvidenceDirectory
from hms.ledger import Answer, Intent
from hms.phases import PROVED, STEADY
from hms.reads import Read
from tests.hms.evidence_samples import FAULT_NS, MS, SECOND, START_NS, TrialPlan, trial

READERS = (
    Reader(name="postgres-primary", rate_per_second=10.0, writer="postgres"),
    Reader(name="postgres-replica", rate_per_second=10.0, writer="postgres"),
    Reader(name="redis-primary", rate_per_second=10.0, writer="redis"),
    Reader(name="api-search", rate_per_second=5.0, writer=""),
    Reader(name="api-bookmarks", rate_per_second=5.0, writer="app"),
)


def reads(reader: Reader, plan: TrialPlan, *, failed: int = 0, stale_ms: int = 0, gap_ms: int = 0) -> tuple[Read, ...]:
    """Return a trial's reads: right and fresh, but `failed` after the fault, one stale, or none answered in a gap.

    The writer's number `seq` is acknowledged 6 ms after `seq * interval` at the latest, so that a read of the number
    before the last lacks nothing.
    """
    found: list[Read] = []
    left = failed
    for index in range(int(12 * reader.rate_per_second)):
        due_ns = START_NS + round(index * SECOND / reader.rate_per_second)
        after_ms = (due_ns - FAULT_NS) / MS
        ok = not 0 <= after_ms < gap_ms
        if ok and left and after_ms > gap_ms:
            ok, left = False, left - 1
        newest = (due_ns - START_NS) // (plan.interval_ms * MS)
        if stale_ms and index == round(11 * reader.rate_per_second):
            newest -= round(stale_ms / plan.interval_ms)
        seen = int(newest) if ok and reader.writer else None
        found.append(Read(due_ns, 1000, 2 * MS, ok=ok, seen=seen, detail="" if ok else "status 503"))
    return tuple(found)


def with_readers(
    evidence: EvidenceDirectory, plan: TrialPlan, readers: tuple[Reader, ...] = READERS, *, failed: int = 0,
    stale_ms: int = 0, gap_ms: int = 0,
) -> Trial:  # fmt: skip
    """Write the reads of a trial whose ledgers are there, and return its record with them; it is not written."""
    writers = {plan.writer, *plan.bystanders}
    held = tuple(reader for reader in readers if not reader.writer or reader.writer in writers)
    for reader in held:
        lines = [
            msgspec.json.encode(read) + b"\n"
            for read in reads(reader, plan, failed=failed, stale_ms=stale_ms, gap_ms=gap_ms)
        ]
        evidence.write_bytes(f"{plan.path}/{reader.name}.reads.jsonl", b"".join(lines))
    return msgspec.structs.replace(trial(plan), readers=held, events=failover_events(plan))


def failover_events(plan: TrialPlan) -> tuple[Event, ...]:
    """Return what the sources say in a failover of the plan's engine, in the words that they use."""
    gap_ms = plan.gap_ms or 9000
    engine = {
        "postgres": (
            (gap_ms // 3, "endpoints", "leader's key: postgres-0 -> none"),
            (gap_ms // 2, "endpoints", "leader's key: none -> postgres-1"),
            (gap_ms // 2, "endpoints", "routed: nowhere -> 10.1.1.3"),
            (gap_ms * 2 // 3, "patroni", "postgres-1: role replica -> primary"),
        ),
        "redis": (
            (gap_ms // 3, "sentinel", "sentinel-0: +sdown master hms 10.0.0.1 6379"),
            (gap_ms // 2, "redis", "redis-1: role replica -> master"),
            (gap_ms + 300, "sentinel", "sentinel-0: +switch-master hms 10.0.0.1 6379 10.0.0.2 6379"),
        ),
    }.get(plan.writer, ())
    told = (*engine, (gap_ms // 4, "drill", f"{PROVED}process 41 is gone"), (gap_ms + 3000, "drill", STEADY))
    return tuple(Event(at_ns=FAULT_NS + at_ms * MS, source=source, what=what) for at_ms, source, what in sorted(told))


def write_control(evidence: EvidenceDirectory, *, number: int = 1, lost: int = 40) -> None:
    """Write a control in which so many of 500 acknowledged writes are gone."""
    plan = TrialPlan(drill="control-redis-asynchronous", number=number, writer="redis")
    records: list[Intent | Answer] = []
    for seq in range(500):
        sent_ns = START_NS + seq * 20 * MS
        records.append(Intent(seq=seq, key=f"k{seq}", intended_ns=sent_ns, sent_ns=sent_ns))
        records.append(Answer(seq=seq, outcome="acknowledged", done_ns=sent_ns + MS))
    present = [Present(key=f"k{seq}", count=1) for seq in range(500) if not 200 <= seq < 200 + lost]
    nodes = ("redis-0", "redis-1", "redis-2")
    for node in nodes:
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in present)
        evidence.write_bytes(f"{plan.path}/redis.present.{node}.jsonl", lines)
    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    evidence.write_bytes(f"{plan.path}/redis.ledger.jsonl", lines)
    record = msgspec.structs.replace(trial(plan), control="a replica is promoted beside a primary that goes on")
    evidence.write(f"{plan.path}/trial.json", record)
