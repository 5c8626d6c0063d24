"""`hms judge`, `hms verify` and `hms report` as a user meets them: what they print, write and exit with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hms.cli.main import cli
from hms.errors import BreachError, EvidenceError, HmsError, UsageError
from hms.evidence_directory import EvidenceDirectory
from hms.judgement import VERDICTS
from tests.hms.evidence_samples import TrialPlan, write_trial
from tests.hms.run_sample import CLAIM_COUNT, sample_evidence


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def error_of(result: Result, kind: type[HmsError]) -> HmsError:
    assert isinstance(result.exception, kind)
    return result.exception


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_evidence(tmp_path_factory.mktemp("good") / "run").path


def test_judge_prints_the_verdicts(good: Path) -> None:
    result = run("judge", str(good))
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"{CLAIM_COUNT} claims: {CLAIM_COUNT} PASSED"


def test_judge_as_json_is_verdicts_json(good: Path) -> None:
    assert run("judge", str(good), "--json").stdout_bytes == (good / VERDICTS).read_bytes()


def test_a_breach_is_exit_code_1(tmp_path: Path) -> None:
    sample_evidence(tmp_path / "run", lost=1)
    result = run("judge", str(tmp_path / "run"))
    error = error_of(result, BreachError)
    assert error.exit_code == 1
    assert str(error) == f"2 of {CLAIM_COUNT} claims FAILED: postgres-lost, postgres-lost-on-replica"


def test_judge_keeps_its_verdicts_in_evidence_that_is_not_sealed(tmp_path: Path) -> None:
    write_trial(EvidenceDirectory(tmp_path), TrialPlan())
    assert run("judge", str(tmp_path)).exit_code == 0
    first = (tmp_path / VERDICTS).read_bytes()
    assert run("judge", str(tmp_path)).exit_code == 0
    assert (tmp_path / VERDICTS).read_bytes() == first


def test_judge_closes_evidence_so_that_it_can_be_verified(tmp_path: Path) -> None:
    write_trial(EvidenceDirectory(tmp_path), TrialPlan())
    assert run("judge", str(tmp_path), "--seal").exit_code == 0
    assert run("judge", str(tmp_path), "--seal").exit_code == 0
    assert run("verify", str(tmp_path)).exit_code == 0
    error = error_of(run("judge", str(tmp_path), "--seal", "--claims", "claims"), UsageError)
    assert "nothing to seal" in str(error)


def test_judge_by_other_claims_keeps_nothing(tmp_path: Path) -> None:
    evidence = EvidenceDirectory(tmp_path / "run")
    write_trial(evidence, TrialPlan(gap_ms=1200))
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "mine.toml").write_text(
        '[[claim]]\nid = "quick"\nstatement = "S."\nsource = "T."\nmetric = "drill.write_gap"\nstatistic = "max"\n'
        'comparison = "<"\nbound = 1\nunit = "s"\n'
    )
    before = evidence.files()
    result = run("judge", str(evidence.path), "--claims", str(tmp_path / "claims"))
    assert str(error_of(result, BreachError)) == "1 of 1 claims FAILED: quick"
    assert evidence.files() == before


def test_judge_says_what_is_damaged(tmp_path: Path) -> None:
    path = sample_evidence(tmp_path / "run").path
    checks = path / "smoke/checks.jsonl"
    checks.write_bytes(checks.read_bytes().replace(b"true", b"trUe", 1))
    result = run("judge", str(path))
    assert f"damaged: {checks} is not what the manifest says" in result.stderr
    assert "INCONCLUSIVE  smoke-agrees" in result.stdout
    assert "claim 'smoke-agrees': outcome is recorded as 'PASSED'" in str(error_of(result, EvidenceError))


@pytest.mark.parametrize("command", ["judge", "verify", "report"])
def test_a_directory_that_is_not_there_is_exit_code_2(tmp_path: Path, command: str) -> None:
    error = error_of(run(command, str(tmp_path / "none")), UsageError)
    assert error.exit_code == 2
    assert "no such directory" in str(error)


def test_verify(good: Path) -> None:
    result = run("verify", str(good))
    assert result.exit_code == 0, result.output
    assert f"{CLAIM_COUNT} verdicts follow from them, byte for byte" in result.output
    assert json.loads(run("verify", str(good), "--json").output)["verdicts"] == CLAIM_COUNT


def test_verify_names_the_first_changed_file(tmp_path: Path) -> None:
    path = sample_evidence(tmp_path / "run").path
    (path / "steps.jsonl").write_bytes(b"")
    error = error_of(run("verify", str(path)), EvidenceError)
    assert str(error).startswith(f"{path / 'steps.jsonl'}: its SHA-256 is ")
    assert error.exit_code == 1


def test_report_lies_beside_the_evidence(good: Path) -> None:
    result = run("report", str(good))
    assert result.output == f"{good}.html\n"
    assert Path(f"{good}.html").read_text().startswith("<!doctype html>")


def test_report_in_other_forms(good: Path, tmp_path: Path) -> None:
    names = {"--junit": "j.xml", "--csv": "v.csv", "--csv-runs": "r.csv"}
    arguments = [part for option, name in names.items() for part in (option, str(tmp_path / name))]
    result = run("report", str(good), *arguments, "--compare", str(good))
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == set(names.values())
    assert f"{CLAIM_COUNT} claims, 0 worse in B" in result.output
