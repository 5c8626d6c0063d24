"""`hms load` and `hms smoke` as a person meets them when something is wrong with the command."""

from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner

from hms.cli.load import load
from hms.cli.smoke import smoke
from hms.errors import InvalidSpecError, UsageError
from hms.evidence import LoadRun
from hms.evidence_directory import EvidenceDirectory
from tests.loadtests.inventory import inventory_beside_a_cluster
from tests.loadtests.server import StallingServer


@pytest.fixture
def inventory_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an Inventory, and the kubeconfig of a test cluster that looks as if it were up."""
    return inventory_beside_a_cluster(tmp_path, monkeypatch)


def test_a_load_that_makes_no_sense_is_refused_before_anything_is_done(inventory_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "evidence"
    options = ["--inventory", str(inventory_file), "--out", str(out), "--rate", "-5", "--duration", "soon"]
    result = CliRunner().invoke(load, [*options, "--scenario", "none", "--workers", "x", "--target-url", "http://a.b"])
    assert isinstance(result.exception, InvalidSpecError)
    assert [problem.split()[0] for problem in result.exception.problems] == [
        "scenario", "duration", "workers", "rate", "target",
    ]  # fmt: skip
    assert not out.exists()


@pytest.mark.parametrize("command", [load, smoke])
def test_an_inventory_that_is_none_is_named(command: Command, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--inventory", str(tmp_path / "missing.json")])
    assert isinstance(result.exception, UsageError)
    assert "missing.json: No such file" in str(result.exception)


def test_a_cluster_is_named_with_an_inventory_alone() -> None:
    result = CliRunner().invoke(smoke, ["--cluster", "other"])
    assert isinstance(result.exception, UsageError)
    assert "only with --inventory" in str(result.exception)


def test_a_cluster_that_is_not_up_is_named(inventory_file: Path) -> None:
    result = CliRunner().invoke(smoke, ["--inventory", str(inventory_file), "--cluster", "other"])
    assert isinstance(result.exception, UsageError)
    assert "test cluster 'other': not up" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--alone", "http://example.org"], "must be an address of this machine's loopback"),
        (["--alone", "http://127.0.0.1:1", "--profile", "none"], "profile 'none': must be one of cache, ci, crowd"),
        (["--alone", "http://127.0.0.1:1", "--shape", "5"], "shape '5': stage '5'"),
        (["--alone", "http://127.0.0.1:1", "--profile", "ci", "--find-capacity"], "give one of them"),
        (["--alone", "http://127.0.0.1:1", "--p99", "0"], "--p99 0: must be above 0 ms"),
        (["--alone", "http://127.0.0.1:1", "--baseline", "/nowhere"], "/nowhere: no such directory"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_value(options: list[str], named: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(load, [*options, "--out", str(tmp_path / "evidence")])
    assert isinstance(result.exception, UsageError)
    assert named in str(result.exception)
    assert not (tmp_path / "evidence").exists()


def test_a_service_on_this_machine_is_loaded_and_its_record_kept(tmp_path: Path) -> None:
    with StallingServer(stall_after_seconds=60, stall_seconds=0) as server:
        options = ["--alone", server.url, "--scenario", "mixed", "--rate", "40", "--duration", "2s", "--workers", "2"]
        result = CliRunner().invoke(load, [*options, "--out", str(tmp_path / "evidence")], catch_exceptions=False)
    assert result.exit_code == 0
    record = EvidenceDirectory(tmp_path / "evidence").read("load/mixed/1/load.json", LoadRun)
    assert record.sent == server.requests > 40
    assert record.generator.workers == 2


def test_evidence_is_never_written_over(inventory_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "evidence"
    out.mkdir()
    (out / "run.json").touch()
    result = CliRunner().invoke(load, ["--inventory", str(inventory_file), "--out", str(out)])
    assert isinstance(result.exception, UsageError)
    assert "not empty" in str(result.exception)
