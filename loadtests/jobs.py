"""The Kubernetes Jobs of a load run: one with Locust's master, one with its workers."""

from typing import Any

from hms.inventory import API_KEY, API_KEY_SECRET
from loadtests.driver import ANNOTATION, identity
from loadtests.key import KEY_FILE_VARIABLE
from loadtests.plan import LoadPlan

RUN_LABEL = "hms.load/run"
MASTER_PORT = 5557
SETTLE_SECONDS = 150
"""What a run may take beyond its duration: scheduling, start, the last answers, the reports."""

_KEYS = "/etc/hms/secrets/app"

Manifest = dict[str, Any]

_CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def master_arguments(plan: LoadPlan) -> list[str]:
    """Return Locust's arguments for the master; the workers are told the streams' options by it."""
    return [
        "--master", "--master-bind-port", str(MASTER_PORT), "--headless", "--only-summary",
        "--expect-workers", str(plan.workers), "--expect-workers-max-wait", "60", *stream_arguments(plan),
    ]  # fmt: skip


def stream_arguments(plan: LoadPlan) -> list[str]:
    """Return Locust's arguments that say what the streams shall do, a stream for each worker."""
    return [
        "--users", str(plan.workers), "--spawn-rate", str(plan.workers), "--host", plan.target,
        "--stream-rate", repr(plan.rate_per_worker), "--stream-seconds", repr(plan.duration_seconds),
        "--max-in-flight", str(plan.max_in_flight_per_worker), "--load-seed", str(plan.seed),
        "--arrivals", plan.arrivals, *(["--stream-shape", plan.shape] if plan.shape else []),
        "--load-scenario", plan.scenario, plan.user_class,
    ]  # fmt: skip


def worker_arguments(plan: LoadPlan, *, master_address: str) -> list[str]:
    """Return Locust's arguments for a worker."""
    return ["--worker", "--master-host", master_address, "--master-port", str(MASTER_PORT), plan.user_class]


def job(
    name: str, *, run: str, image: str, part: str, arguments: list[str], pods: int, deadline_seconds: int
) -> Manifest:
    """Return a Job of `pods` pods that all run at once and are not started again.

    What a killed driver leaves behind ends by its deadline and is removed five minutes later.
    """
    labels = {
        "app.kubernetes.io/part-of": "hms",
        "app.kubernetes.io/name": "loadgen",
        "app.kubernetes.io/component": part,
        RUN_LABEL: run,
    }
    container = {
        "name": "loadgen",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "locust", "-f", "loadtests/locustfile.py"],
        "args": arguments,
        "env": [
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": "HOME", "value": "/tmp"},  # noqa: S108  # the pod's own
            {"name": KEY_FILE_VARIABLE, "value": f"{_KEYS}/{API_KEY}"},
        ],
        "ports": [{"name": "locust", "containerPort": MASTER_PORT}] if part == "master" else [],
        "resources": {
            # What a worker asks for is its weight where CPU is short: a generator that has to wait measures itself.
            "requests": {"cpu": "250m" if part == "worker" else "50m", "memory": "96Mi"},
            "limits": {"cpu": "1", "memory": "320Mi"},
        },
        "securityContext": _CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # the pod's own
            {"name": "app-credentials", "mountPath": _KEYS, "readOnly": True},
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "32Mi"}},
            {
                "name": "app-credentials",
                "secret": {
                    "secretName": API_KEY_SECRET,
                    "defaultMode": 0o444,  # the image says who runs the container, and no group is given the files
                    "items": [{"key": API_KEY, "path": API_KEY}],
                },
            },
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "annotations": {ANNOTATION: identity()}},
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline_seconds,
            "ttlSecondsAfterFinished": 300,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def master_job(plan: LoadPlan, *, run: str, image: str) -> Manifest:
    """Return the Job of the master."""
    return job(
        f"load-{run}-master", run=run, image=image, part="master", arguments=master_arguments(plan), pods=1,
        deadline_seconds=round(plan.duration_seconds) + SETTLE_SECONDS,
    )  # fmt: skip


def worker_job(plan: LoadPlan, *, run: str, image: str, master_address: str) -> Manifest:
    """Return the Job of the workers."""
    return job(
        f"load-{run}-worker", run=run, image=image, part="worker", pods=plan.workers,
        arguments=worker_arguments(plan, master_address=master_address),
        deadline_seconds=round(plan.duration_seconds) + SETTLE_SECONDS,
    )  # fmt: skip
