"""The run's record as the generator prints it, and whether it is whole."""

import msgspec

from hms.errors import LoadError
from hms.evidence import LoadRun
from loadtests.plan import RESULT_MARKER, LoadPlan


def checked_record(plan: LoadPlan, log: str) -> LoadRun:
    """Find the run's record in the generator's output and check that it accounts for every arrival.

    Raises `LoadError` if there is none or a part is missing.
    """
    marked = [line.removeprefix(RESULT_MARKER) for line in log.splitlines() if line.startswith(RESULT_MARKER)]
    if len(marked) != 1:
        said = (
            "\n  ".join(line for line in log.splitlines() if "ERROR" in line or "Error" in line) or log[-400:].strip()
        )
        raise LoadError(
            f"load {plan.scenario}: the generator ended without a record; it said:\n  {said or 'nothing'}",
            remedy="Nothing was written. Look at `kubectl get events` of the namespace, then run it again.",
        )
    try:
        record = msgspec.json.decode(marked[0], type=LoadRun)
    except msgspec.DecodeError as error:
        raise LoadError(f"load {plan.scenario}: the generator's record is damaged: {error}") from error
    finished = sum(operation.ok + operation.failed for operation in record.operations)
    problems = [
        f"{record.generator.workers} of {plan.workers} workers reported" * (record.generator.workers != plan.workers),
        f"{record.intended} arrivals intended but {record.sent} sent and {record.dropped} dropped"
        * (record.intended != record.sent + record.dropped),
        f"{record.sent} sent but {finished} ended" * (record.sent != finished),
    ]
    if found := "; ".join(problem for problem in problems if problem):
        raise LoadError(f"load {plan.scenario}: the generator's account does not add up: {found}")
    return msgspec.structs.replace(record, objective=plan.objective)
