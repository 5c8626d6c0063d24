"""Whether a probe of the capacity held. Pure."""

from fractions import Fraction

from hms.evidence import LoadRun, Objective
from hms.statistics import decode_histogram


def breach(run: LoadRun, objective: Objective) -> str:
    """Return what of the objective a run did not keep, in words; empty if it kept all."""
    found = []
    for operation in run.operations:
        seen = decode_histogram(operation.response_histogram, scale=0.001)
        p99_ms = seen.quantile(Fraction(99, 100)) if seen.total else 0.0
        if p99_ms > objective.p99_ms:
            found.append(f"p99 of {operation.name} {p99_ms:.0f} ms (limit {objective.p99_ms:g} ms)")
    failed = sum(operation.failed for operation in run.operations)
    for name, count, total in (("failed", failed, run.sent), ("dropped", run.dropped, run.intended)):
        percent = 100 * count / total if total else 100.0
        if percent > objective.failed_percent:
            found.append(f"{percent:.2g} % {name} (limit {objective.failed_percent:g} %)")
    return ", ".join(found)
