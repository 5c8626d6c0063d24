"""Load runs in the cluster that do not go as they should: no figure comes of them, and nothing stays behind."""

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from hms.errors import LoadError
from hms.evidence import LoadRun
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from loadtests.driver import ANNOTATION, identity
from loadtests.jobs import RUN_LABEL, worker_job
from loadtests.plan import LoadPlan, make_plan
from loadtests.run import run_plan
from loadtests.target import stack_target
from tests.proved import ProvedStack

UNDER_WAY_SECONDS = 120.0


def plan_for(inventory: Inventory, *, seconds: float) -> LoadPlan:
    return make_plan(stack_target(inventory), scenario="first", rate_per_second=10, duration=seconds, workers=2)


def told(event: Event) -> Callable[[str], None]:
    """Return a progress function that sets the event when the load begins."""

    def progress(line: str) -> None:
        if line.startswith("first:"):
            event.set()

    return progress


def await_line(kubectl: Kubectl, pod: str, wanted: str) -> None:
    """Follow a pod's log until a line has what is wanted."""
    with subprocess.Popen(kubectl.command("logs", "--follow", pod), stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        seen = any(wanted in line for line in logs.stdout)
        logs.terminate()
    assert seen, f"{pod} ended without {wanted!r}"


def leftovers(kubectl: Kubectl) -> list[str]:
    return kubectl.run("get", "jobs,pods", "-l", RUN_LABEL, "-o", "name").split()


def lose_a_worker(inventory: Inventory, kubectl: Kubectl, folder: Path) -> None:
    """Begin a run, see a second one refused, kill a worker of the first, and see that no figure comes of it."""
    plan, begun = plan_for(inventory, seconds=60), Event()
    evidence = EvidenceDirectory(folder)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_plan, plan, inventory, kubectl, evidence, told(begun))
        assert begun.wait(UNDER_WAY_SECONDS), running.exception(timeout=0)
        with pytest.raises(LoadError, match="another run is under way"):
            run_plan(plan, inventory, kubectl, evidence, lambda _line: None)
        master = kubectl.pods({"app.kubernetes.io/component": "master"})[0]["metadata"]["name"]
        await_line(kubectl, master, "users spawned")
        worker = kubectl.pods({"app.kubernetes.io/component": "worker"})[0]["metadata"]["name"]
        kubectl.run("delete", "pod", worker, "--force", "--grace-period=0")
        with pytest.raises(LoadError, match=r"ended without a record(.|\n)*1 of 2 workers lost"):
            running.result(timeout=UNDER_WAY_SECONDS)
    assert not folder.exists()
    assert leftovers(kubectl) == []


def follow_a_dead_driver(inventory: Inventory, kubectl: Kubectl, folder: Path) -> LoadRun:
    """Leave workers behind as a killed driver does, and run all the same."""
    machine, pid, started = identity().split("/")
    plan = plan_for(inventory, seconds=600)
    orphan = worker_job(plan, run="orphan", image=inventory.loadgen_image, master_address="127.0.0.1")
    orphan["metadata"]["annotations"] = {ANNOTATION: f"{machine}/{pid}/{int(started) - 1}"}
    kubectl.run("create", "-f", "-", stdin=json.dumps(orphan))
    said: list[str] = []
    record = run_plan(plan_for(inventory, seconds=3), inventory, kubectl, EvidenceDirectory(folder), said.append)
    assert "removed load-orphan-worker, which an earlier run left behind" in said
    assert EvidenceDirectory(folder).read("load/first/1/load.json", LoadRun) == record
    assert leftovers(kubectl) == []
    return record


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.fault
def test_a_run_that_loses_a_worker_is_no_run(proof: ProvedStack, tmp_path: Path) -> None:
    lose_a_worker(proof.inventory, proof.kubectl, tmp_path / "evidence")


@pytest.mark.cluster
@pytest.mark.slow
def test_what_a_dead_driver_left_is_removed(proof: ProvedStack, tmp_path: Path) -> None:
    record = follow_a_dead_driver(proof.inventory, proof.kubectl, tmp_path / "evidence")
    assert record.generator.workers == 2
    assert record.intended == record.sent + record.dropped
