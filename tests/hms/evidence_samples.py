"""Evidence made up for tests: runs, loads and trials with planted faults, the same for the same arguments."""

import random
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # hdrh ships no types

from hms.evidence import (
    Check,
    Environment,
    Event,
    Fault,
    Generator,
    LoadRun,
    OperationLoad,
    Present,
    Run,
    Steady,
    Step,
    Trial,
    Writer,
)
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Container, Endpoint, Flow, Inventory, Limits, Postgres, Redis, Role, Workload
from hms.ledger import Answer, Intent, Outcome, Record

MS = 1_000_000
SECOND = 1_000_000_000
START_NS = 1_000 * SECOND
FAULT_NS = START_NS + 3 * SECOND


WriterName = Literal["postgres", "redis", "app"]


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """A trial of 12 s with the fault at 3 s; `gap_ms` None means that no write was acknowledged after it.

    What is planted is planted in `writer`; the `bystanders` write beside it and meet the same gap, nothing else.
    """

    drill: str = "postgres-kill-primary"
    number: int = 1
    writer: WriterName = "postgres"
    bystanders: tuple[WriterName, ...] = ()
    gap_ms: int | None = 1200
    interval_ms: int = 20
    lost: int = 0
    lost_on_replica: int = 0
    duplicated: int = 0
    resurrected: int = 0
    foreign: int = 0
    proved: bool = True
    steady_before: bool = True
    steady_after: bool = True
    clock_uncertainty_ns: int = 0
    effective: dict[str, str] = field(default_factory=lambda: {"patroni ttl": "20", "patroni loop_wait": "1"})

    @property
    def path(self) -> str:
        return f"drills/{self.drill}/{self.number}"


def records(plan: TrialPlan) -> list[Record]:
    """Return the ledger's records: acknowledged before the fault and after the gap, refused or unknown within it."""
    chance = random.Random(f"{plan.drill}/{plan.number}/{plan.writer}")
    result: list[Record] = []
    for seq in range(12_000 // plan.interval_ms):
        intended = START_NS + seq * plan.interval_ms * MS
        sent = intended + chance.randrange(10_000, 200_000)
        result.append(Intent(seq=seq, key=f"drill:{plan.number}:{seq}", intended_ns=intended, sent_ns=sent))
        outcome, took_ns = _answer(plan, sent, chance)
        if seq % 97 or outcome != "unknown":
            result.append(Answer(seq=seq, outcome=outcome, done_ns=sent + took_ns, detail=""))
    return result


def _answer(plan: TrialPlan, sent: int, chance: random.Random) -> tuple[Outcome, int]:
    quick = chance.randrange(1 * MS, 6 * MS)
    if sent < FAULT_NS - 10 * MS:
        return "acknowledged", quick
    until = None if plan.gap_ms is None else FAULT_NS + plan.gap_ms * MS
    if until is None or sent + quick < until:
        return ("refused", quick) if chance.random() < 0.5 else ("unknown", 500 * MS)
    return "acknowledged", quick


def write_trial(evidence: EvidenceDirectory, plan: TrialPlan, record: Trial | None = None) -> None:
    """Write one trial with what the plan plants; its record is the plan's unless one is given."""
    _write_writer(evidence, plan)
    for name in plan.bystanders:
        _write_writer(evidence, TrialPlan(drill=plan.drill, number=plan.number, writer=name, gap_ms=plan.gap_ms))
    evidence.write(f"{plan.path}/trial.json", record or trial(plan))


def _write_writer(evidence: EvidenceDirectory, plan: TrialPlan) -> None:
    ledger = records(plan)
    content = b"".join(msgspec.json.encode(record) + b"\n" for record in ledger)
    evidence.write_bytes(f"{plan.path}/{plan.writer}.ledger.jsonl", content)
    keys = {r.seq: r.key for r in ledger if isinstance(r, Intent)}
    by_outcome: dict[str, list[str]] = {"acknowledged": [], "refused": [], "unknown": []}
    for record in ledger:
        if isinstance(record, Answer):
            by_outcome[record.outcome].append(keys[record.seq])
    acknowledged = by_outcome["acknowledged"]
    primary = dict.fromkeys((*acknowledged[plan.lost :], *by_outcome["unknown"][:3]), 1)
    primary |= dict.fromkeys(acknowledged[plan.lost : plan.lost + plan.duplicated], 2)
    primary |= dict.fromkeys(by_outcome["refused"][: plan.resurrected], 1)
    primary |= {f"foreign:{n}": 1 for n in range(plan.foreign)}
    replica = {key: count for key, count in primary.items() if key not in acknowledged[-plan.lost_on_replica or None :]}
    if not plan.lost_on_replica:
        replica = primary
    nodes = {f"{plan.writer}-1": primary, f"{plan.writer}-0": replica, f"{plan.writer}-2": primary}
    for node, present in nodes.items():
        lines = [msgspec.json.encode(Present(key=key, count=count)) for key, count in sorted(present.items())]
        content = b"".join(line + b"\n" for line in lines)
        evidence.write_bytes(f"{plan.path}/{plan.writer}.present.{node}.jsonl", content)


def trial(plan: TrialPlan) -> Trial:
    gap_ns = (plan.gap_ms or 9000) * MS
    return Trial(
        drill=plan.drill, number=plan.number,
        fault=Fault(
            name="sigkill", target=f"{plan.writer}-0", at_ns=FAULT_NS, clock_uncertainty_ns=plan.clock_uncertainty_ns,
            proved=plan.proved, proof="process 41 is gone" if plan.proved else "process 41 is still there",
        ),
        steady_before=_steady(plan.steady_before),
        steady_after=_steady(plan.steady_after),
        effective=plan.effective,
        events=(
            Event(at_ns=FAULT_NS + 30 * MS, source="kubernetes", what=f"{plan.writer}-0 not ready"),
            Event(at_ns=FAULT_NS + gap_ns - 150 * MS, source="patroni", what=f"{plan.writer}-1 is the leader"),
            Event(at_ns=FAULT_NS + gap_ns - 60 * MS, source="kubernetes", what="Endpoints point to the new primary"),
            Event(at_ns=FAULT_NS + gap_ns + 4000 * MS, source="patroni", what=f"{plan.writer}-0 streams again"),
        ),
        writers=tuple(
            Writer(
                name=name, rate_per_second=1000 / plan.interval_ms, nodes=(f"{name}-0", f"{name}-1", f"{name}-2"),
                authoritative=f"{name}-1",
            )
            for name in (plan.writer, *plan.bystanders)
        ),
    )  # fmt: skip


def _steady(ok: bool) -> Steady:
    return Steady(ok=ok, detail="3 of 3 members" if ok else "2 of 3 members")


def histogram(median_us: int, *, count: int, seed: str, worst_us: int = 0) -> str:
    """Return an encoded histogram of log-normal times, one of which is `worst_us`."""
    chance = random.Random(seed)
    recorded = HdrHistogram(1, 60_000_000, 3)
    for _ in range(count - (1 if worst_us else 0)):
        recorded.record_value(max(1, int(chance.lognormvariate(0, 0.6) * median_us)))
    if worst_us:
        recorded.record_value(worst_us)
    return str(recorded.encode().decode("ascii"))


def load_run(
    *,
    rate_per_second: float = 100,
    duration_seconds: float = 30,
    failed: int = 0,
    dropped: int = 0,
    median_us: int = 9_000,
    cpu_fraction: float = 0.3,
    lag_us: int = 400,
) -> LoadRun:
    """Return a load run whose counts agree."""
    intended = int(rate_per_second * duration_seconds)
    sent = intended - dropped
    shares = {"search": int(sent * 0.6), "lookup": int(sent * 0.3)}
    shares["bookmark"] = sent - sum(shares.values())
    scale = {"search": 1.0, "lookup": 0.4, "bookmark": 1.6}
    return LoadRun(
        scenario="first", rate_per_second=rate_per_second, duration_seconds=duration_seconds, seed=7,
        intended=intended, sent=sent, dropped=dropped,
        operations=tuple(
            OperationLoad(
                name=name, ok=count - (failed if name == "search" else 0), failed=failed if name == "search" else 0,
                failures={"503": failed} if name == "search" and failed else {},
                response_histogram=histogram(int(median_us * scale[name]), count=count, seed=f"r{name}"),
                service_histogram=histogram(int(median_us * scale[name] * 0.9), count=count, seed=f"s{name}"),
            )
            for name, count in shares.items()
        ),
        generator=Generator(
            workers=1, cpu_fraction=cpu_fraction, lag_histogram=histogram(lag_us, count=sent, seed="lag")
        ),
    )  # fmt: skip


def inventory() -> Inventory:
    limits = Limits(
        cpu_request_millicores=100, cpu_limit_millicores=500,
        memory_request_bytes=128 * 2**20, memory_limit_bytes=512 * 2**20,
    )  # fmt: skip
    kinds: tuple[tuple[Role, Literal["StatefulSet", "Deployment"], int], ...] = (
        ("postgres", "StatefulSet", 5432), ("redis", "StatefulSet", 6379),
        ("sentinel", "StatefulSet", 26379), ("app", "Deployment", 8080),
    )  # fmt: skip
    workloads = []
    for name, kind, port in kinds:
        image = f"localhost/hms/{name}:0a1b2c3d"
        container = Container(name=name, image=image, user_id=999, ports=(port,), limits=limits)
        selector: dict[str, str] = {"app.kubernetes.io/name": name}
        workloads.append(
            Workload(name=name, kind=kind, role=name, replicas=3, selector=selector, containers=(container,))
        )
    return Inventory(
        stack="ci", namespace="hms-ci", drills="allowed", workloads=tuple(workloads),
        endpoints=(Endpoint(name="app", host="app.hms-ci.svc", port=80),),
        flows=(Flow(source="app", target="postgres", port=5432),),
        postgres=Postgres(
            scope="postgres", database="hms", members=("postgres-0",), port=5432, rest_port=8008,
            synchronous_mode="quorum", settings={"max_connections": "100"}, patroni={"ttl": 20, "loop_wait": 1},
            credentials_secret="postgres-credentials",
        ),
        redis=Redis(
            master_name="hms", nodes=("redis-0",), port=6379, sentinels=("sentinel-0",), sentinel_port=26379, quorum=2,
            settings={"min-replicas-to-write": "1"}, sentinel_settings={"down-after-milliseconds": "500"},
            credentials_secret="redis-credentials",
        ),
        release="2026-04", codes=98186, loadgen_image="localhost/hms/loadgen:0a1b2c3d", versions={"postgres": "17.11"},
    )  # fmt: skip


def write_frame(evidence: EvidenceDirectory) -> None:
    """Write what every run has besides its samples."""
    evidence.write(
        "run.json",
        Run(
            id="r1",
            kind="prove",
            stack="ci",
            started_at="2026-04-01T12:00:00Z",
            version="0.1.0",
            commit="c" * 40,
            seed=7,
        ),
    )
    evidence.write("inventory.json", inventory())
    evidence.write(
        "environment.json",
        Environment(
            machine="vm", kernel="6.1.0", distribution="Debian 12", cpu_model="a CPU", cpu_count=2,
            memory_bytes=24 * 2**30, python="3.11.2", tools={"kubectl": "1.34.4", "pulumi": "3.250.0"},
            images={"app": "sha256:" + "1" * 64}, nodes=("node-0", "node-1", "node-2"),
        ),
    )  # fmt: skip
    for name, seconds in (("cluster", 12.1), ("pulumi up", 61.5), ("drills", 130.2)):
        evidence.append("steps.jsonl", Step(name=name, seconds=seconds, ok=True))


def write_checks(evidence: EvidenceDirectory, *, disagreeing: int = 0, count: int = 20) -> None:
    for number in range(count):
        ok = number >= disagreeing
        evidence.append(
            "smoke/checks.jsonl",
            Check(
                id=f"limit-memory-{number}", target=f"postgres-{number % 3}/postgres", declared="536870912",
                observed="536870912" if ok else "max", ok=ok,
            ),
        )  # fmt: skip
