"""Run the smoke checks on a stack and keep what they saw."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from hms.errors import StackError
from hms.evidence import Check
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.paths import project_root

Progress = Callable[[str], None]

CHECKS = "smoke/checks.jsonl"
PYTEST_PASSED = 0
PYTEST_FAILED = 1
TIMEOUT_SECONDS = 300


def run_smoke(
    inventory: Inventory,
    kubectl: Kubectl,
    evidence: EvidenceDirectory,
    progress: Progress = lambda _line: None,
) -> bool:
    """Check the running stack against its Inventory; every check goes to `smoke/checks.jsonl`.

    Returns whether all agree. Raises `StackError` if the checks themselves could not be run.
    """
    with tempfile.TemporaryDirectory(prefix="hms-smoke-") as folder:
        inventory_file = Path(folder, "inventory.json")
        inventory_file.write_bytes(msgspec.json.encode(inventory))
        checks_file = Path(folder, "checks.jsonl")
        checks_file.touch()
        code, output = _run_pytest(inventory_file, checks_file, kubectl)
        checks = [msgspec.json.decode(line, type=Check) for line in checks_file.read_bytes().splitlines()]
    if code not in {PYTEST_PASSED, PYTEST_FAILED} or not checks:
        raise StackError(f"smoke: the checks could not be run (pytest's exit code {code}):\n{output[-2000:]}")
    for check in checks:
        evidence.append(CHECKS, check)
    wrong = [check for check in checks if not check.ok]
    for check in wrong:
        progress(f"{check.id} {check.target}: declared {check.declared}, observed {check.observed}")
    progress(f"{len(checks) - len(wrong)} of {len(checks)} checks agree")
    if code == PYTEST_FAILED and not wrong:
        raise StackError(f"smoke: a check broke off without a finding:\n{output[-2000:]}")
    return not wrong


def _run_pytest(inventory_file: Path, checks_file: Path, kubectl: Kubectl) -> tuple[int, str]:
    """Run pytest in a process of its own: it may itself be called from one."""
    binary = Path(kubectl.binary)
    path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}" if binary.is_absolute() else os.environ["PATH"]
    root = project_root()
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", str(root / "smoke"), "--rootdir", str(root), "-q", "--tb=short",
                "-p", "no:cacheprovider", "--inventory", str(inventory_file), "--checks", str(checks_file),
                "--kubeconfig", str(kubectl.kubeconfig), "--context", kubectl.context,
            ],
            cwd=root, env={**os.environ, "PATH": path}, timeout=TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StackError(f"smoke: no end within {TIMEOUT_SECONDS} s") from error
    return done.returncode, done.stdout
