"""The metrics that evidence yields: what each means, its unit, and the labels that a claim may select by."""

from dataclasses import dataclass

from hms.phases import NAMES as PHASES


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; a run contributes one value, or a histogram where `histogram` is set."""

    name: str
    unit: str
    labels: frozenset[str]
    meaning: str
    histogram: bool = False


_LOAD = frozenset({"scenario", "rate_per_second", "shape"})
_DRILL = frozenset({"drill", "writer"})
_READS = frozenset({"drill", "reader", "through"})
_PHASES = frozenset({"drill", "engine"})

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("smoke.disagreements", "checks", frozenset(), "Checks whose observation is not what was declared."),
        Metric(
            "load.response_time", "ms", _LOAD | {"operation"},
            "From the moment at which the schedule wanted the request to its answer's last byte.", histogram=True,
        ),
        Metric("load.throughput", "req/h", _LOAD, "Requests answered well, in an hour at the run's pace."),
        Metric("load.failed", "%", _LOAD, "Share of the sent requests that were not answered well."),
        Metric("load.dropped", "%", _LOAD, "Share of the intended requests that could not be sent in time."),
        Metric(
            "load.operation_failed", "%", _LOAD | {"operation"},
            "Share of one kind of request that was not answered well.",
        ),
        Metric(
            "load.recovery", "s", _LOAD,
            "From when the rate is no longer above its base until no request is failed, refused or dropped any more.",
        ),
        Metric(
            "load.drift", "%", _LOAD | {"operation"},
            "Median response time in the last quarter of a run of ten minutes or more, above that in its second.",
        ),
        Metric(
            "load.memory_growth", "%", _LOAD | {"role"},
            "Memory of the pod that grew most, in the last quarter of such a run, above that in its second.",
        ),
        Metric("load.capacity", "req/h", _LOAD, "Highest rate that held twice in a search for the capacity."),
        Metric("drill.write_gap", "s", _DRILL, "Longest span after the fault without a whole acknowledged write."),
        Metric("drill.lost", "writes", _DRILL, "Acknowledged writes that the primary does not have afterwards."),
        Metric(
            "drill.lost_on_replica", "writes", _DRILL,
            "Acknowledged writes that some replica does not have once the stack is steady again.",
        ),
        Metric("drill.duplicated", "writes", _DRILL, "Writes that the primary has more than once."),
        Metric("drill.resurrected", "writes", _DRILL, "Writes that were refused and that the primary has."),
        Metric("drill.read_gap", "s", _READS, "Longest span after the fault without a whole read answered well."),
        Metric("drill.reads_failed", "reads", _READS, "Reads that ended after the fault without a right answer."),
        Metric(
            "drill.read_staleness", "s", _READS,
            "Longest time for which a write that a read had to show, and did not, had been acknowledged.",
        ),
        Metric(
            "drill.promotions", "promotions", _PHASES,
            "Times that a member of Postgres, or a node of Redis, was seen to have become the primary after the fault.",
        ),
        Metric(
            "drill.promotions_while_broken", "promotions", _PHASES,
            "The same, but only until the drill began to undo the fault.",
        ),
        *(
            Metric(f"drill.phase.{name}", "s", _PHASES, f"From the fault until the failover was {name}.")
            for name in PHASES
        ),
        Metric("control.lost", "writes", _DRILL, "Writes lost on purpose that the reckoning noticed, in a control."),
    )
}  # fmt: skip
