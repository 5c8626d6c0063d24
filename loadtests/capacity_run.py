"""Find a stack's capacity: probe after probe, as the search wants them."""

import msgspec

from hms.derive_load import generator_limit
from hms.evidence import LoadRun, Objective
from hms.load_objective import breach
from loadtests.capacity import PRECISION, CapacitySearch, Outcome
from loadtests.keep import Drive, Progress
from loadtests.plan import RATE_BOUNDS_PER_SECOND, LoadPlan


def run_search(plan: LoadPlan, objective: Objective, drive: Drive, progress: Progress) -> CapacitySearch:
    """Search from the plan's rate for the highest one that keeps the objective; each probe is a run of its own."""
    search = CapacitySearch(first=plan.rate_per_second, highest=RATE_BOUNDS_PER_SECOND[1])
    while (rate := search.next_rate()) is not None:
        wanted = msgspec.structs.replace(objective, confirms=search.confirming)
        seed = plan.seed + search.probes
        record = drive(msgspec.structs.replace(plan, rate_per_second=rate, seed=seed, objective=wanted))
        outcome, why = _outcome(record, wanted)
        progress(f"{rate:g}/s: {why or 'held'}")
        search.tell(rate, outcome)
    return search


def _outcome(record: LoadRun, objective: Objective) -> tuple[Outcome, str]:
    broken = breach(record, objective)
    if not broken:
        return "held", ""
    # A stack that is too slow makes a generator late only where that shares its processors: then nobody can tell.
    limit = generator_limit(record)
    return ("generator", limit) if limit else ("failed", broken)


def capacity_line(search: CapacitySearch) -> str:
    """Return what the search came to, for a person."""
    if search.limited_by_generator:
        least = f"at least {search.holding:g}/s" if search.holding else "not known"
        return f"capacity: {least}; beyond that the generator was the limit: INCONCLUSIVE, give it more --workers"
    if search.confirmed is None:
        return "capacity: no rate held twice"
    bound = f"; {search.failing:.4g}/s failed" if search.failing else ", the highest that is tried"
    return (
        f"capacity: {search.confirmed:.4g} requests/s ({search.confirmed * 3600:,.0f} an hour), within "
        f"{PRECISION:.0%}{bound}; {search.probes} probes"
    )
