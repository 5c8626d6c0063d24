"""The `Evidence`: the directory of one run, append-only, digested at the end.

    run.json           Run: what was run, on which stack, from which commit
    environment.json   Environment: the machine, the tools, the images
    inventory.json     the stack's Inventory
    steps.jsonl        Step, one a line: what `hms prove` did and how long it took
    smoke/checks.jsonl Check, one a line
    load/<scenario>/<n>/load.json                        LoadRun
    load/<scenario>/<n>/resources.jsonl                  Resource, one a line
    drills/<drill>/<n>/trial.json                        Trial
    drills/<drill>/<n>/<writer>.ledger.jsonl             hms.ledger.Record, one a line
    drills/<drill>/<n>/<writer>.present.<node>.jsonl     Present, one a line: the keys that a node has after the trial
    drills/<drill>/<n>/<reader>.reads.jsonl              hms.reads.Read, one a line
    drills/<drill>/<n>/logs/                             the containers' logs meanwhile, as they are
    claims.json        the catalogue that the run is judged by
    verdicts.json      the verdicts; `hms judge` writes the same bytes again
    manifest.json      SHA-256 of every other file, written last

Every record is a frozen struct of this file. Figures are not stored where they can be derived: the write gap comes from
the ledger and the fault's time, the losses from the ledger and what is present.
"""

from typing import Literal

import msgspec


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What was run; `started_at` is UTC, a label only."""

    schema: Literal[1] = 1
    id: str
    kind: Literal["prove", "smoke", "load", "drill"]
    stack: str
    started_at: str
    version: str
    commit: str
    seed: int | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was run."""

    machine: str
    kernel: str
    distribution: str
    cpu_model: str
    cpu_count: int
    memory_bytes: int
    python: str
    tools: dict[str, str]
    images: dict[str, str]
    nodes: tuple[str, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run and what it took; `detail` is the error's first line where it failed."""

    name: str
    seconds: float
    ok: bool
    detail: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One smoke check: what was declared, what was observed, whether they agree."""

    id: str
    target: str
    declared: str
    observed: str
    ok: bool


class OperationLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of request met. Histograms are HDR V2, base64, in microseconds.

    `response_histogram` is from the intended start, `service_histogram` from the start of sending.
    """

    name: str
    ok: int
    failed: int
    failures: dict[str, int]
    response_histogram: str
    service_histogram: str


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """The load generator on itself. `lag_histogram`: HDR V2, base64, microseconds from intended to actual start."""

    workers: int
    cpu_fraction: float
    lag_histogram: str


class WindowOperation(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of request met in one window; the histogram as in `OperationLoad`, from the intended start."""

    name: str
    ok: int
    failed: int
    response_histogram: str


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that were due in one window, `number` times `window_seconds` after a worker's first stream began.

    `cpu_fraction` is of the busiest worker, in cores.
    """

    number: int
    dropped: int
    cpu_fraction: float
    operations: tuple[WindowOperation, ...]


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe of the capacity had to keep: each operation's p99, and the share of failed and dropped requests.

    `confirms` is set where the rate had held once before: only that counts as a capacity.
    """

    p99_ms: float
    failed_percent: float
    confirms: bool = False


class LoadRun(msgspec.Struct, frozen=True, kw_only=True):
    """One load run: arrivals intended, sent, and dropped because they could not be sent in time.

    `shape` is as in `hms.load_shape`, empty where the rate did not change. A run with an `objective` is a probe: it was
    meant to find out whether that rate can be carried, and counts for no claim on what was promised at lower ones.
    """

    schema: Literal[1] = 1
    scenario: str
    rate_per_second: float
    duration_seconds: float
    seed: int
    intended: int
    sent: int
    dropped: int
    operations: tuple[OperationLoad, ...]
    generator: Generator
    arrivals: Literal["poisson", "constant"] = "poisson"
    shape: str = ""
    objective: Objective | None = None
    window_seconds: float = 0.0
    windows: tuple[Window, ...] = ()


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod used, as the cluster's metrics say it, `at_seconds` after the load began.

    The metrics are averages of some seconds before; `role` is that of the pod's workload, or `loadgen`.
    """

    at_seconds: float
    pod: str
    role: str
    cpu_cores: float
    memory_bytes: int


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What was broken. Times are nanoseconds of the *writer's* monotonic clock.

    `at_ns` is the latest moment known to be before the fault, so that gaps are never measured too short;
    `clock_uncertainty_ns` bounds the error of moving it from the driver's clock. `proof` says how it was seen to have
    happened.
    """

    name: str
    target: str
    at_ns: int
    clock_uncertainty_ns: int
    proved: bool
    proof: str


class Steady(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the stack was in its steady state: all members there, roles agreed, lag zero, writes acknowledged."""

    ok: bool
    detail: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, by an independent source, on the writer's monotonic clock."""

    at_ns: int
    source: str
    what: str


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """A client that wrote through the trial.

    `nodes` were asked afterwards what they have; `authoritative` is the one whose content decides what was lost: the
    primary after the trial.
    """

    name: Literal["postgres", "postgres-stubborn", "redis", "app"]
    rate_per_second: float
    nodes: tuple[str, ...]
    authoritative: str


ReaderName = Literal[
    "postgres-primary", "postgres-replica", "redis-primary", "api-search", "api-lookup", "api-bookmarks"
]


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """A client that read through the trial; `writer` is whose writes its answers show, empty where they show none."""

    name: ReaderName
    rate_per_second: float
    writer: Literal["postgres", "redis", "app", ""]


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """A key that a node has after a trial, and how often."""

    key: str
    count: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One drill, once. `effective` are timers read back from the running engines.

    `control` is set where writes were made to be lost on purpose, and says how: such a trial shows whether loss is
    noticed, and counts for no other claim.
    """

    schema: Literal[1] = 1
    drill: str
    number: int
    fault: Fault
    steady_before: Steady
    steady_after: Steady
    effective: dict[str, str]
    events: tuple[Event, ...]
    writers: tuple[Writer, ...]
    readers: tuple[Reader, ...] = ()
    control: str = ""
    not_applicable: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The SHA-256 of every other file of the run, in hexadecimal, by its path inside the directory."""

    schema: Literal[1] = 1
    sha256: dict[str, str]
