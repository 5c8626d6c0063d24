"""One small `hms prove` for the whole session: the stack that it leaves serves every test that needs a real one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hms.cluster import Cluster
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.prove.home import ProveHome
from hms.stack import PulumiStack

CLUSTER = "t-proof"
STACK = "ci"
SMALL = ("--trials", "1", "--load-seconds", "5", "--rate", "20")
LONGEST_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedStack:
    """A running stack and what was proved of it. `printed` is what a person saw, `answer` the JSON of the verdicts."""

    exit_code: int
    printed: str
    answer: dict[str, Any]
    evidence: Path
    report: Path
    cluster: Cluster
    kubectl: Kubectl
    stack: PulumiStack
    inventory: Inventory


def prove_command(*options: str) -> list[str]:
    """Return the command line of a small proof on the tests' own cluster."""
    return [sys.executable, "-m", "hms.cli", "prove", "--cluster", CLUSTER, "--stack", STACK, *SMALL, *options]


def opened_stack(home: ProveHome) -> PulumiStack:
    """Return the stack that a proof made, with its private settings and state."""
    return PulumiStack(
        STACK, config_file=home.config_file, backend_url=home.backend_url, passphrase_file=home.passphrase_file
    )


@contextmanager
def proved_stack(folder: Path) -> Iterator[ProvedStack]:
    """Prove once, keep the stack, and at the end remove what is still there."""
    home = ProveHome(STACK, CLUSTER)
    evidence = folder / "evidence"
    try:
        done = subprocess.run(
            prove_command("--keep", "--json", "--out", str(evidence)),
            capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False, env={**os.environ, "KUBECONFIG": ""},
        )  # fmt: skip
        if done.returncode not in {0, 1} or not done.stdout.startswith("{"):
            raise AssertionError(f"hms prove ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        answer = json.loads(done.stdout)
        stack = opened_stack(home)
        inventory = stack.output()
        cluster = Cluster(CLUSTER)
        yield ProvedStack(
            exit_code=done.returncode, printed=done.stderr, answer=answer, evidence=evidence,
            report=Path(answer["report"]), cluster=cluster, kubectl=cluster.kubectl().within(inventory.namespace),
            stack=stack, inventory=inventory,
        )  # fmt: skip
    finally:
        Cluster(CLUSTER).down(progress=lambda _line: None)
        home.remove()
