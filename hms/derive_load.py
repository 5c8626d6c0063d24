"""What a load run contributes. Pure."""

import math
from collections.abc import Mapping
from fractions import Fraction

import msgspec

from hms.derive_load_time import memory_observations, time_observations
from hms.errors import EvidenceError
from hms.evidence import LoadRun
from hms.load_objective import breach
from hms.load_shape import parse_shape, steady
from hms.statistics import decode_histogram
from hms.verdict import Observation

MICROSECONDS_IN_MS = 0.001

# A generator whose processes use more of their cores than this, or whose sends are later than this, measures itself.
GENERATOR_CPU_LIMIT = 0.9
GENERATOR_LAG_P99_LIMIT_MS = 50.0

STEADY = "steady"
"""The label `shape` of a run whose rate did not change."""

METRICS_OF_A_RUN = ("load.throughput", "load.failed", "load.dropped")
METRICS_OF_AN_OPERATION = ("load.response_time", "load.operation_failed")
METRICS_OF_TIME = ("load.recovery", "load.drift", "load.memory_growth")


def load_observations(contents: Mapping[str, bytes], *, run: str, scenario: str, damage: str) -> list[Observation]:
    """Return what the run in `run` (`load/<scenario>/<n>`) contributes; damage makes all of it unresolved."""
    try:
        if damage:
            raise EvidenceError(damage)
        load = _read(contents, run=run, scenario=scenario)
        limit = generator_limit(load)
        return _observations(load, contents, run=run, limit=limit)
    except (EvidenceError, ValueError) as error:
        return [
            Observation(metric=metric, labels={"scenario": scenario}, run=run, inconclusive=str(error), unresolved=True)
            for metric in (*METRICS_OF_A_RUN, *METRICS_OF_AN_OPERATION, *METRICS_OF_TIME)
        ]


def _observations(load: LoadRun, contents: Mapping[str, bytes], *, run: str, limit: str) -> list[Observation]:
    labels = {
        "scenario": load.scenario, "rate_per_second": f"{load.rate_per_second:g}", "shape": load.shape or STEADY,
    }  # fmt: skip
    if load.objective is not None:
        return _probe(load, labels, run=run, limit=limit)
    answered = sum(operation.ok for operation in load.operations)
    values = {
        "load.throughput": answered / load.duration_seconds * 3600,
        "load.failed": 100 * (load.sent - answered) / load.sent,
        "load.dropped": 100 * load.dropped / load.intended,
    }
    found = [
        Observation(metric=metric, labels=labels, run=run, values=(values[metric],), inconclusive=limit)
        for metric in METRICS_OF_A_RUN
    ]
    for operation in load.operations:
        mine = {**labels, "operation": operation.name}
        ended = operation.ok + operation.failed
        found += [
            Observation(
                metric="load.response_time", labels=mine, run=run, histogram=operation.response_histogram,
                histogram_scale=MICROSECONDS_IN_MS, inconclusive=limit,
            ),
            Observation(
                metric="load.operation_failed", labels=mine, run=run, values=(100 * operation.failed / ended,),
                inconclusive=limit,
            ),
        ]  # fmt: skip
    found += time_observations(load, labels, run=run, limit=limit)
    return found + memory_observations(load, contents.get("resources.jsonl", b""), labels, run=run)


def _probe(load: LoadRun, labels: dict[str, str], *, run: str, limit: str) -> list[Observation]:
    """Return the capacity that a probe confirmed: what was tried on the way to it is no figure of its own."""
    if load.objective is None or not load.objective.confirms or breach(load, load.objective):
        return []
    rate = load.rate_per_second * 3600
    return [Observation(metric="load.capacity", labels=labels, run=run, values=(rate,), inconclusive=limit)]


def _read(contents: Mapping[str, bytes], *, run: str, scenario: str) -> LoadRun:
    """Return the run's record if its counts agree among themselves; `EvidenceError` or `ValueError` if not."""
    try:
        load = msgspec.json.decode(contents["load.json"], type=LoadRun)
    except KeyError:
        raise EvidenceError(f"{run}/load.json: missing") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"{run}/load.json: not a LoadRun: {error}") from error
    finished = sum(operation.ok + operation.failed for operation in load.operations)
    if load.scenario != scenario:
        raise EvidenceError(f"{run}/load.json: it is of scenario {load.scenario!r}")
    if load.duration_seconds <= 0 or load.sent <= 0:
        raise EvidenceError(f"{run}/load.json: {load.sent} requests sent in {load.duration_seconds:g} s say nothing")
    if load.intended != load.sent + load.dropped:
        raise EvidenceError(
            f"{run}/load.json: {load.intended} intended, but {load.sent} sent and {load.dropped} dropped"
        )
    if finished > load.sent:
        raise EvidenceError(f"{run}/load.json: {finished} requests ended, but only {load.sent} were sent")
    for operation in load.operations:
        recorded = decode_histogram(operation.response_histogram, scale=1).total
        if recorded < operation.ok:
            raise EvidenceError(
                f"{run}/load.json: {operation.name} was answered {operation.ok} times, with {recorded} response times"
            )
    return load


def generator_limit(load: LoadRun) -> str:
    """Return why the generator, not the stack, was the limit of this run; empty if it was not."""
    generator = load.generator
    lag_p99_ms = decode_histogram(generator.lag_histogram, scale=MICROSECONDS_IN_MS).quantile(Fraction(99, 100))
    shape = parse_shape(load.shape) if load.shape else steady(load.duration_seconds)
    wanted = load.rate_per_second * shape.count
    # A Poisson process, or spaced more evenly: fewer than four standard deviations below the mean is not chance.
    least = wanted - 4 * math.sqrt(wanted)
    if generator.cpu_fraction > GENERATOR_CPU_LIMIT:
        return f"the load generator used {generator.cpu_fraction:.0%} of its CPU (limit {GENERATOR_CPU_LIMIT:.0%})"
    if lag_p99_ms > GENERATOR_LAG_P99_LIMIT_MS:
        return f"the load generator's p99 lag was {lag_p99_ms:.0f} ms (limit {GENERATOR_LAG_P99_LIMIT_MS:.0f} ms)"
    if load.intended < least:
        return f"the load generator intended {load.intended} requests where its rate asks for {wanted:.0f}"
    return ""
