"""A trial's course, on a pod that says what a test wants said."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from drills.debts import Debts, InPod
from drills.faults.fault import Fault
from drills.feed import Feed
from drills.pod import DrillPod
from drills.routing import Routing
from drills.stage import Injection, Proof, Stage
from drills.steadiness import not_ready_because
from drills.summary import summarise
from drills.trial import Outcome, TrialRun
from drills.wire import Failed, LedgerFile, Seen, Stopped, WriterResult
from hms.errors import HmsError
from hms.kubectl import Kubectl
from tests.drills.inventories import inventory
from tests.drills.states import postgres_state, started, state, status

NAME = "test-fault-1"
LEDGER = (
    b'{"type":"intent","seq":0,"key":"k:0","intended_ns":20500000000,"sent_ns":20500000000}\n'
    b'{"type":"answer","seq":0,"outcome":"acknowledged","done_ns":21500000000}\n'
)
PRESENT = b'{"key":"k:0","count":1}\n'
FILES = {"postgres.ledger.jsonl": LEDGER, "postgres.present.postgres-1.jsonl": PRESENT}


class ScriptedPod:
    """A pod that is steady as soon as it is wanted, and reads back when it no longer is."""

    def __init__(self) -> None:
        self.feed = Feed()
        self.rates_per_second = {"postgres": 50.0}
        self.boot_id = "b"
        self.now_ns = 20_000_000_000
        self.wanted: list[str] = []

    def far_ns(self, near_ns: int | None = None) -> int:
        return self.now_ns

    def want(self, trial: str) -> None:
        self.wanted.append(trial)
        if trial:
            for message in (started(10, NAME), state(17), status(20, trial=NAME), state(20)):
                self.feed.add(message)
            return
        result = WriterResult(writer="postgres", nodes=("postgres-1",), authoritative="postgres-1", not_sent=3)
        files = tuple(
            LedgerFile(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in FILES.items()
        )
        self.feed.add(Stopped(trial=NAME, at_ns=self.now_ns, results=(result,), files=files))

    def fetch(self, trial: str, files: tuple[LedgerFile, ...]) -> dict[str, bytes]:
        return {file.name: FILES[file.name] for file in files}


class ScriptedFault:
    """A fault that strikes at 20.4 s; what is seen before and after is the test's."""

    name = "test-fault"
    does = "breaks it"
    undone = proved_by = stays_true = "-"
    seconds = 1.0
    keeps = frozenset({"postgres"})
    cuts_off = False
    lasts_seconds = 0.0
    recovery_seconds = 5.0

    def __init__(self, pod: ScriptedPod, *, proved: bool = True, unsteady_before: bool = False) -> None:
        self.pod = pod
        self.proved = proved
        self.unsteady_before = unsteady_before
        self.defect: BaseException | None = None
        self.primary_after = "postgres-0"

    def inject(self, stage: Stage) -> Injection:
        if self.unsteady_before:
            self.pod.feed.add(state(20.2, postgres=postgres_state(steady=False)))
        stage.owe(InPod(pod="postgres-0", container="c", argv=("true",), does="mend it"))
        return Injection("postgres-0", 20_400_000_000, 7, stage.state(), ())

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        if self.defect is not None:
            raise self.defect
        self.pod.feed.add(Seen(at_ns=20_600_000_000, source="patroni", what="postgres-1 leads"))
        for message in (
            state(20.5, postgres=postgres_state(steady=False)),
            state(22, postgres=postgres_state(primary=self.primary_after)),
            status(24.5, trial=NAME, failed_at=22),
            state(24.5, postgres=postgres_state(primary=self.primary_after)),
        ):
            self.pod.feed.add(message)
        self.pod.now_ns = 22_100_000_000
        return Proof(self.proved, "seen")

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        return proof


class Quiet:
    """A watch of the Endpoints that has only seen the lease."""

    effective = {"patroni ttl in the leader's record": "20"}  # noqa: RUF012 - never changed


class ReadyKubectl(Kubectl):
    """An API server whose workloads are all ready."""

    mended: ClassVar[list[Sequence[str]]] = []

    def get(self, *arguments: str, timeout_seconds: float = 30.0) -> dict[str, Any]:
        return {"items": []}

    def run(self, *arguments: str, stdin: str | None = None, timeout_seconds: float = 30.0) -> str:
        assert arguments[0] == "logs"
        return "[pod/postgres-0/postgres] 2026-11-28T13:00:00Z no action. I am (postgres-0), the leader with the lock\n"

    def exec(
        self, pod: str, container: str, argv: Sequence[str], *, stdin: str | None = None, timeout_seconds: float = 30.0
    ) -> str:
        self.mended.append(argv)
        return ""


@pytest.fixture(autouse=True)
def owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the debts of a test are, and that nothing has been mended yet."""
    monkeypatch.setattr(ReadyKubectl, "mended", [])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "owed.json"


def run(fault: ScriptedFault, said: list[str] | None = None) -> Outcome:
    kubectl = ReadyKubectl(Path("k"), "c")
    debts = Debts(Path("owed.json"), kubectl)
    stage = Stage(inventory(), kubectl, cast(DrillPod, fault.pod), debts)
    lines = said if said is not None else []
    trial = TrialRun(stage, cast(Fault, fault), cast(Routing, Quiet()), number=1, progress=lines.append)
    return trial.run()


def test_the_course_of_a_trial() -> None:
    fault = ScriptedFault(ScriptedPod())
    said: list[str] = []
    trial = run(fault, said).trial
    assert fault.pod.wanted == [NAME, ""]
    assert (trial.steady_before.ok, trial.fault.proved, trial.steady_after.ok) == (True, True, True)
    assert (trial.fault.at_ns, trial.fault.clock_uncertainty_ns) == (20_400_000_000, 7)
    events = [(event.source, event.what) for event in trial.events]
    assert [what for _, what in events if what.startswith("the time is 20")], "nothing ties the logs to the timeline"
    assert [(source, what) for source, what in events if not what.startswith("the time is ")] == [
        ("drill", "breaks it: postgres-0"),
        ("patroni", "postgres-1 leads"),
        ("drill", "proved: seen"),
        ("drill", "undone from here on"),
        ("drill", "mend it in postgres-0"),
        ("drill", "steady from here on"),
        ("writer postgres", "3 arrivals were not sent: too many were under way"),
    ]
    assert trial.effective == {"patroni ttl in the leader's record": "20"}
    assert [(writer.name, writer.authoritative) for writer in trial.writers] == [("postgres", "postgres-1")]
    assert ReadyKubectl.mended == [("true",)]
    assert said[0] == f"{NAME}: steady"


def test_what_the_containers_logged_is_kept() -> None:
    fault = ScriptedFault(ScriptedPod())
    files = run(fault).files
    assert sorted(files) == ["logs/all.log", *sorted(FILES)]
    assert files["logs/all.log"].startswith(b"[pod/postgres-0/postgres]")


def test_what_was_to_stay_and_did_not_is_said() -> None:
    fault = ScriptedFault(ScriptedPod())
    fault.primary_after = "postgres-1"
    what = "did not stay: Postgres' primary: postgres-0 on timeline 1 -> postgres-1 on timeline 1"
    assert what in [event.what for event in run(fault).trial.events]


def test_a_fault_that_was_not_proved_says_so() -> None:
    trial = run(ScriptedFault(ScriptedPod(), proved=False)).trial
    assert trial.steady_before.ok
    assert not trial.fault.proved


def test_steadiness_lost_before_the_fault_voids_the_trial() -> None:
    trial = run(ScriptedFault(ScriptedPod(), unsteady_before=True)).trial
    assert not trial.steady_before.ok
    assert trial.steady_before.detail == "no longer steady when the fault struck: no member leads"


def test_what_cannot_be_proved_is_undone_and_the_run_goes_on() -> None:
    pod = ScriptedPod()
    fault = ScriptedFault(pod)
    fault.defect = HmsError("cannot look")
    fault.recovery_seconds = 0.1
    trial = run(fault).trial
    assert (trial.fault.proved, trial.fault.proof) == (False, "not proved: cannot look")
    assert ReadyKubectl.mended == [("true",)]


def test_whatever_happens_the_fault_is_undone(owed: Path) -> None:
    fault = ScriptedFault(ScriptedPod())
    fault.defect = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(fault)
    assert ReadyKubectl.mended == [("true",)]
    assert not owed.exists()


def test_a_program_that_failed_ends_the_trial() -> None:
    fault = ScriptedFault(ScriptedPod())
    fault.pod.feed.add(Failed(at_ns=1, reason="OSError: no space left"))
    with pytest.raises(HmsError, match="no space left"):
        run(fault)


def test_the_summary_is_derived_from_the_ledger() -> None:
    (line,) = summarise(run(ScriptedFault(ScriptedPod())))
    assert line == ("postgres: write gap 1.10 s; 1 acknowledged, 0 refused, 0 unknown; 0 lost, 0 twice, 0 resurrected")


def test_workloads_that_lack_a_pod_are_named() -> None:
    whole = {"metadata": {"name": "redis"}, "spec": {"replicas": 3}, "status": {"readyReplicas": 3}}
    lacking = {"metadata": {"name": "app"}, "spec": {"replicas": 2}, "status": {}}
    assert not_ready_because([whole]) == ""
    assert not_ready_because([whole, lacking]) == "app has 0 of 2 pods ready"
