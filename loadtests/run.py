"""Run a load in the cluster and bring its record home."""

import json
import time
from secrets import token_hex
from typing import Any

from hms.errors import KubectlError, LoadError
from hms.evidence import LoadRun
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from loadtests.driver import ANNOTATION, surely_dead
from loadtests.jobs import RUN_LABEL, SETTLE_SECONDS, Manifest, master_job, worker_job
from loadtests.keep import Progress, keep
from loadtests.plan import RESULT_MARKER, LoadPlan, make_plan
from loadtests.record import checked_record
from loadtests.resources import ResourceWatch
from loadtests.target import stack_target

START_SECONDS = 60.0
POLL_SECONDS = 0.3
JOB_ENDS = {"Complete", "Failed"}


def run_load(
    inventory: Inventory,
    kubectl: Kubectl,
    evidence: EvidenceDirectory,
    *,
    scenario: str,
    rate_per_second: float,
    duration_seconds: float,
    workers: int = 2,
    seed: int = 1,
    progress: Progress = lambda _line: None,
) -> LoadRun:
    """Load the stack as planned and write `load/<scenario>/<n>/load.json`; see `run_plan`."""
    plan = make_plan(
        stack_target(inventory),
        scenario=scenario, rate_per_second=rate_per_second, duration=duration_seconds, workers=workers, seed=seed,
    )  # fmt: skip
    return run_plan(plan, inventory, kubectl, evidence, progress)


def run_plan(
    plan: LoadPlan, inventory: Inventory, kubectl: Kubectl, evidence: EvidenceDirectory, progress: Progress
) -> LoadRun:
    """Run a plan with Locust in the stack's namespace, write its record, and return it.

    Raises `LoadError` if the generator did not begin, lost a part, or its account does not add up: nothing is written
    then. The Jobs are removed in any case; those that a dead driver left behind are removed first. Two runs at once
    would spoil each other's figures: the second is refused.
    """
    cluster = kubectl.within(inventory.namespace)
    _make_room(cluster, progress)
    run = token_hex(4)
    try:
        _apply(cluster, master_job(plan, run=run, image=inventory.loadgen_image))
        master, address = _wait_for_pods(cluster, run, "master", 1)[0]
        _apply(cluster, worker_job(plan, run=run, image=inventory.loadgen_image, master_address=address))
        _wait_for_pods(cluster, run, "worker", plan.workers)
        progress(
            f"{plan.scenario}: {plan.rate_per_second:g} arrivals/s for {plan.duration_seconds:g} s "
            f"on {plan.target}, {plan.workers} workers"
        )
        with ResourceWatch(cluster) as watch:
            record = checked_record(plan, _follow(cluster, master, plan))
    finally:
        _remove_jobs(cluster, f"{RUN_LABEL}={run}")
    return keep(record, evidence, progress, resources=watch.found)


def _apply(cluster: Kubectl, manifest: Manifest) -> None:
    cluster.run("create", "-f", "-", stdin=json.dumps(manifest))


def _make_room(cluster: Kubectl, progress: Progress) -> None:
    """Remove what is left of runs that have ended or lost their driver; `LoadError` if one is under way."""
    for job in cluster.get("jobs", "-l", RUN_LABEL)["items"]:
        name, metadata = job["metadata"]["name"], job["metadata"]
        ended = any(c["status"] == "True" for c in job["status"].get("conditions", ()) if c["type"] in JOB_ENDS)
        if not ended and not surely_dead(metadata.get("annotations", {}).get(ANNOTATION, "")):
            raise LoadError(
                f"load: another run is under way in {cluster.namespace}: Job {name}",
                remedy="Wait for it. Its Job ends by itself, at the latest "
                f"{SETTLE_SECONDS} s after the run's own duration.",
            )
        _remove_jobs(cluster, f"{RUN_LABEL}={metadata['labels'][RUN_LABEL]}")
        progress(f"removed {name}, which an earlier run left behind")


def _remove_jobs(cluster: Kubectl, selector: str) -> None:
    cluster.run("delete", "jobs", "-l", selector, "--cascade=foreground", "--ignore-not-found", timeout_seconds=60.0)


def _wait_for_pods(cluster: Kubectl, run: str, part: str, count: int) -> list[tuple[str, str]]:
    """Return name and address of each pod of a part, once all run (or have run already)."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        pods = cluster.pods({RUN_LABEL: run, "app.kubernetes.io/component": part})
        begun = [pod for pod in pods if pod["status"].get("phase") in {"Running", "Succeeded", "Failed"}]
        addressed = [(pod["metadata"]["name"], pod["status"]["podIP"]) for pod in begun if pod["status"].get("podIP")]
        if len(addressed) >= count:
            return addressed
        if time.monotonic() > deadline:
            raise LoadError(
                f"load: {len(addressed)} of {count} pods of the generator's {part} began within {START_SECONDS:g} s"
                f"{_why_not(cluster, run, part, pods)}",
                remedy="Is the image `loadgen` on the nodes, and is there room in the namespace's quota?",
            )
        time.sleep(POLL_SECONDS)


def _why_not(cluster: Kubectl, run: str, part: str, pods: list[dict[str, Any]]) -> str:
    """Say what holds pods back, from their conditions, their containers, and the Job's last event."""
    reasons: set[str] = set()
    for pod in pods:
        status = pod["status"]
        reasons.update(c.get("message", "") for c in status.get("conditions", ()) if c.get("reason") == "Unschedulable")
        for container in status.get("containerStatuses", ()):
            waiting = container["state"].get("waiting", {})
            reasons.add(f"{waiting.get('reason', '')} {waiting.get('message', '')}".strip())
    if not pods:
        field = f"involvedObject.name=load-{run}-{part}"
        reasons.update(event.get("message", "") for event in cluster.get("events", "--field-selector", field)["items"])
    return "".join(f"\n  {reason}" for reason in sorted(reasons) if reason)


def _follow(cluster: Kubectl, pod: str, plan: LoadPlan) -> str:
    """Return the pod's whole log once it has ended."""
    deadline = time.monotonic() + plan.duration_seconds + SETTLE_SECONDS
    while (remaining := deadline - time.monotonic()) > 0:
        try:
            # Returns when the container ends; the API server may cut it off earlier.
            log = cluster.run("logs", "--follow", pod, timeout_seconds=remaining)
        except KubectlError as error:
            log = ""
            if "NotFound" in error.stderr:
                raise LoadError(
                    f"load {plan.scenario}: the generator's master {pod} was removed while it ran"
                ) from error
        if RESULT_MARKER in log or _ended(cluster, pod):
            return log or cluster.run("logs", pod)
        time.sleep(POLL_SECONDS)
    raise LoadError(f"load {plan.scenario}: no end within {plan.duration_seconds + SETTLE_SECONDS:g} s")


def _ended(cluster: Kubectl, pod: str) -> bool:
    try:
        phase = cluster.run("get", "pod", pod, "-o", "jsonpath={.status.phase}")
    except KubectlError as error:
        if "NotFound" in error.stderr:
            raise LoadError(f"load: the generator's master {pod} was removed while it ran") from error
        raise
    return phase in {"Succeeded", "Failed"}
