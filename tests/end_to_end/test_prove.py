"""`hms prove` as a user and an auditor meet it, on a real three-node cluster with small numbers."""

import base64
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hms.catalogue import default_catalogue_directory, load_catalogue
from hms.evidence import Environment
from hms.evidence_directory import EvidenceDirectory
from hms.prove.home import ProveHome
from tests.cluster.remains import remains
from tests.proved import CLUSTER, STACK, ProvedStack, prove_command

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.fault]

HMS = (sys.executable, "-m", "hms.cli")


def hms(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*HMS, *arguments], capture_output=True, text=True, check=False, timeout=120)


def outcomes(proof: ProvedStack) -> dict[str, str]:
    return {verdict["claim"]: verdict["outcome"] for verdict in proof.answer["verdicts"]}


def test_every_claim_of_a_short_proof_has_a_verdict(proof: ProvedStack) -> None:
    made = load_catalogue(default_catalogue_directory()).short_proof()
    assert set(outcomes(proof)) == {claim.id for claim in made.claims}


def test_writes_that_are_lost_on_purpose_are_noticed(proof: ProvedStack) -> None:
    assert outcomes(proof)["control-caught"] == "PASSED"


def test_the_stack_is_what_it_declares_and_loses_nothing(proof: ProvedStack) -> None:
    judged = outcomes(proof)
    wrong = {claim: outcome for claim, outcome in judged.items() if outcome == "FAILED"}
    # How fast it is depends on the machine and on its neighbours, and is no matter of a test.
    assert not [claim for claim in wrong if "lost" in claim or "smoke" in claim or "declared" in claim], wrong


def test_exit_code_says_whether_a_claim_failed(proof: ProvedStack) -> None:
    assert proof.exit_code == (1 if "FAILED" in outcomes(proof).values() else 0)


def test_each_step_and_its_time_are_on_record(proof: ProvedStack) -> None:
    steps = (proof.evidence / "steps.jsonl").read_text().splitlines()
    assert len(steps) == proof.printed.count(": done in ")
    assert all('"ok":true' in step for step in steps)


def test_the_evidence_names_the_tools_and_the_images_that_were_used(proof: ProvedStack) -> None:
    environment = EvidenceDirectory(proof.evidence).read("environment.json", Environment)
    assert {"pulumi", "kubectl", "containerd", "etcd"} <= {
        name for name, version in environment.tools.items() if version
    }
    assert len(environment.images) >= 3
    assert len(environment.nodes) == 3


def test_evidence_verifies_and_a_changed_byte_is_named(proof: ProvedStack, tmp_path: Path) -> None:
    assert hms("verify", str(proof.evidence)).returncode == 0
    copy = tmp_path / "copy"
    shutil.copytree(proof.evidence, copy)
    ledger = next(copy.rglob("*.ledger.jsonl"))
    ledger.write_bytes(ledger.read_bytes().replace(b"acknowledged", b"unknown_____", 1))
    refused = hms("verify", str(copy))
    assert refused.returncode == 1
    assert ledger.name in refused.stdout + refused.stderr


def test_judging_again_says_the_same(proof: ProvedStack) -> None:
    before = (proof.evidence / "verdicts.json").read_bytes()
    again = hms("judge", str(proof.evidence))
    assert again.returncode == proof.exit_code
    assert (proof.evidence / "verdicts.json").read_bytes() == before


def test_the_report_says_what_was_claimed(proof: ProvedStack) -> None:
    page = proof.report.read_text()
    assert all(claim.id in page for claim in load_catalogue(default_catalogue_directory()).claims)
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_no_secret_is_in_evidence_report_or_output(proof: ProvedStack) -> None:
    values = {
        base64.b64decode(value)
        for secret in proof.kubectl.get("secrets")["items"]
        for value in secret.get("data", {}).values()
    }
    assert len(values) >= 10
    written = [path for path in (*proof.evidence.rglob("*"), proof.report) if path.is_file()]
    leaks = [str(path) for path in written if any(value in path.read_bytes() for value in values)]
    assert leaks == []
    assert not any(value.decode() in proof.printed for value in values)


def test_a_second_proof_beside_the_first_is_refused(proof: ProvedStack) -> None:
    with ProveHome(STACK, CLUSTER).locked():
        second = subprocess.run(prove_command(), capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 1
    assert str(os.getpid()) in second.stderr
    assert "--cluster NAME" in second.stderr
    assert proof.inventory.stack == STACK


@pytest.mark.ends_the_stack
def test_an_interrupted_proof_goes_on_from_what_is_there_and_leaves_nothing(proof: ProvedStack, tmp_path: Path) -> None:
    running = subprocess.Popen(
        prove_command("--out", str(tmp_path / "interrupted")), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    lines = []
    for line in running.stderr:
        lines.append(line)
        if "] smoke" in line:
            running.send_signal(signal.SIGINT)
            break
    rest, _ = running.communicate(timeout=180)[1], running.returncode
    seen = "".join(lines) + rest
    assert running.returncode == 130, seen
    assert "going on from what an earlier run left" in seen
    assert "has been removed" in seen
    assert remains(CLUSTER) == []
    assert not proof.cluster.layout.home.exists()
    assert not ProveHome(STACK, CLUSTER).path.exists()
