"""How a load run's record comes into the evidence."""

from collections.abc import Callable, Iterable

from hms.evidence import LoadRun, Resource
from hms.evidence_directory import EvidenceDirectory
from loadtests.plan import LoadPlan
from loadtests.summary import summary_lines

Progress = Callable[[str], None]
Drive = Callable[[LoadPlan], LoadRun]
"""Runs a plan, keeps its record, and returns it."""


def keep(
    record: LoadRun, evidence: EvidenceDirectory, progress: Progress, *, resources: Iterable[Resource] = ()
) -> LoadRun:
    """Write the record as the scenario's next run, with what the pods used beside it, say it, and return it."""
    run = f"load/{record.scenario}/{next_number(evidence, record.scenario)}"
    for one in resources:
        evidence.append(f"{run}/resources.jsonl", one)
    evidence.write(f"{run}/load.json", record)
    for line in summary_lines(record):
        progress(line)
    return record


def next_number(evidence: EvidenceDirectory, scenario: str) -> int:
    """Return the number of the scenario's next run in this evidence, from 1."""
    folder = evidence.path / "load" / scenario
    taken = [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()] if folder.is_dir() else []
    return max(taken, default=0) + 1
