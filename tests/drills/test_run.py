import fcntl
import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from drills.catalogue import DRILLS
from drills.routing import Record, changes, read_record
from drills.run import run_drills
from hms.cli.drill import drill
from hms.errors import DrillRefusedError, HmsError, UsageError
from hms.evidence_directory import EvidenceDirectory
from hms.kubectl import Kubectl
from tests.drills.inventories import inventory


def run(tmp_path: Path, *names: str, trials: int = 1, drills: str = "allowed") -> None:
    """Ask for drills on a cluster that is not there; what is refused must be refused before it is asked."""
    run_drills(
        names,
        trials=trials,
        inventory=inventory(drills=drills),
        kubectl=Kubectl(tmp_path / "kubeconfig", "nowhere", "false"),
        evidence=EvidenceDirectory(tmp_path / "evidence"),
        progress=lambda line: None,
    )


def test_a_stack_that_may_not_be_broken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrillRefusedError, match="stack test: its configuration forbids drills"):
        run(tmp_path, "postgres-kill-primary", drills="forbidden")
    assert not (tmp_path / "evidence").exists()


def test_every_unknown_drill_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such drill: one, two"):
        run(tmp_path, "one", "redis-kill-primary", "two")


@pytest.mark.parametrize("trials", [0, -1, 1001])
def test_a_number_of_trials_out_of_bounds(tmp_path: Path, trials: int) -> None:
    with pytest.raises(UsageError, match=f"--trials {trials}: must be from 1 to 1000"):
        run(tmp_path, "redis-kill-primary", trials=trials)


def test_a_cluster_that_does_not_answer_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with pytest.raises(HmsError, match="kubectl delete pod"):
        run(tmp_path, "redis-kill-primary")


def test_two_drills_on_one_stack_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    lock = tmp_path / "state" / "hms" / "drills" / "nowhere.hms-test.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another drill is running"):
            run(tmp_path, "redis-kill-primary")


def test_the_list_says_what_each_drill_does() -> None:
    shown = " ".join(CliRunner().invoke(drill, ["list"]).output.split())
    rows = json.loads(CliRunner().invoke(drill, ["list", "--json"]).output)
    assert [row["name"] for row in rows] == list(DRILLS)
    for name, fault in DRILLS.items():
        assert name in shown
        assert fault.does in shown
        assert all(len(text) > 10 for text in (fault.does, fault.undone, fault.proved_by, fault.stays_true))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run"], "no drill named"),
        (["run", "redis-blink-primary", "--cluster", "c"], "only with --inventory"),
        (["run", "redis-blink-primary", "--inventory", "/nowhere/i.json"], "--inventory /nowhere/i.json: No such file"),
    ],
)
def test_the_command_line_names_what_is_wrong(arguments: list[str], reason: str) -> None:
    error = CliRunner().invoke(drill, arguments).exception
    assert isinstance(error, UsageError)
    assert reason in str(error)


def inventory_arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "i.json").write_bytes(msgspec.json.encode(inventory()))
    kubeconfig = tmp_path / "k"
    kubeconfig.write_text(
        msgspec.json.encode(
            {"apiVersion": "v1", "kind": "Config", "contexts": [{"name": "c", "context": {"cluster": "", "user": ""}}]}
        ).decode()
    )
    return ["--inventory", str(tmp_path / "i.json"), "--kubeconfig", str(kubeconfig), "--context", "c"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["control", "redis", "--trials", "2"], "--trials 2: the control of Redis runs once"),
        (["control", "careless", "--trials", "0"], "--trials 0: must be from 1 to 1000"),
        (["control", "postgres"], "control-postgres-asynchronous: needs the machines of a test cluster"),
        (["control", "careless"], "control-careless-detector: needs the machines of a test cluster"),
    ],
)
def test_a_control_says_what_it_cannot_do(
    tmp_path: Path, arguments: list[str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(drill, [*arguments, *inventory_arguments(tmp_path)]).exception
    assert isinstance(error, UsageError)
    assert reason in str(error)
    assert not (tmp_path / "evidence").exists()


def test_evidence_is_never_mixed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}")
    (tmp_path / "i.json").write_bytes(msgspec.json.encode(inventory()))
    (tmp_path / "k").write_text("{}")
    arguments = ["run", "redis-kill-primary", "--inventory", str(tmp_path / "i.json"), "--out", str(tmp_path / "out")]
    error = CliRunner().invoke(drill, [*arguments, "--cluster", "there-is-none"]).exception
    assert isinstance(error, UsageError)


def test_the_endpoints_record() -> None:
    record = read_record(b"Endpoints|postgres-0|20|1|10.1.1.1\n")
    assert record == Record("postgres-0", "20", "1", "10.1.1.1")
    assert read_record(b"Warning: v1 Endpoints is deprecated\n") is None
    assert read_record(b"Status||||\n") is None
    assert changes(None, record) == ["leader postgres-0, routed to 10.1.1.1"]
    assert changes(record, Record("postgres-0", "20", "1", "10.1.1.1")) == []
    assert changes(record, Record("", "20", "1", "")) == [
        "leader's key: postgres-0 -> none",
        "routed: 10.1.1.1 -> nowhere",
    ]
