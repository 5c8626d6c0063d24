"""A trial in a line for each writer, for whoever watches. What counts is derived from the evidence, by `hms judge`."""

import msgspec

from drills.trial import Outcome
from hms.errors import EvidenceError
from hms.evidence import Present, Writer
from hms.ledger import read_ledger, reckon, write_gap


def summarise(outcome: Outcome) -> list[str]:
    """Return a line for each writer: its write gap, its counts, and the reckoning against the primary."""
    return [_line(outcome, writer) for writer in outcome.trial.writers]


def _line(outcome: Outcome, writer: Writer) -> str:
    name = f"{writer.name}.ledger.jsonl"
    try:
        writes = read_ledger(outcome.files.get(name, b""), source=name)
    except EvidenceError as error:
        return f"{writer.name}: {error.message}"
    present = outcome.files.get(f"{writer.name}.present.{writer.authoritative}.jsonl")
    if not writes or present is None:
        return f"{writer.name}: nothing to reckon"
    records = [msgspec.json.decode(line, type=Present) for line in present.splitlines()]
    found = reckon(writes, {record.key: record.count for record in records})
    fault = outcome.trial.fault
    gap = write_gap(writes, fault_ns=fault.at_ns - fault.clock_uncertainty_ns)
    length = f"{gap.seconds:.2f} s" if gap.ended else f"{gap.seconds:.2f} s and not over"
    return (
        f"{writer.name}: write gap {length}; {found.acknowledged} acknowledged, {found.refused} refused, "
        f"{found.unknown} unknown; {len(found.lost)} lost, {len(found.duplicated)} twice, "
        f"{len(found.resurrected)} resurrected"
    )
