"""What each pod uses while a load runs, as the cluster's own metrics tell it."""

import json
import re
import threading
import time
from types import TracebackType
from typing import Any, Self

from hms.errors import KubectlError
from hms.evidence import Resource
from hms.kubectl import Kubectl
from hms.quantity import parse_bytes

INTERVAL_SECONDS = 5.0
"""A reading costs the machine a tenth of a second, and the metrics are averages of some fifteen."""

_CPU = re.compile(r"(\d+)(n|u|m|)")
_CPU_UNITS = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}


def cpu_cores(text: str) -> float:
    """Read a CPU usage such as `1234567n`, `12m` or `1`; `ValueError` if it is none."""
    found = _CPU.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a CPU usage such as 1234567n or 12m")
    return int(found[1]) * _CPU_UNITS[found[2]]


def resources_of(metrics: dict[str, Any], *, at_seconds: float) -> list[Resource]:
    """Return the readings in a `PodMetricsList`, by pod."""
    found = [
        Resource(
            at_seconds=at_seconds,
            pod=str(item["metadata"]["name"]),
            role=str(item["metadata"].get("labels", {}).get("app.kubernetes.io/name", "unknown")),
            cpu_cores=sum(cpu_cores(container["usage"]["cpu"]) for container in item["containers"]),
            memory_bytes=sum(parse_bytes(container["usage"]["memory"]) for container in item["containers"]),
        )
        for item in metrics["items"]
    ]
    return sorted(found, key=lambda one: one.pod)


class ResourceWatch:
    """Reads from its `with` block's begin to its end; nothing from a cluster that has no metrics or does not answer."""

    def __init__(self, cluster: Kubectl) -> None:
        self._cluster = cluster
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._began = time.monotonic()
        self.found: list[Resource] = []

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self._cluster.namespace}/pods"
        while not self._ended.wait(INTERVAL_SECONDS):
            try:
                answer = json.loads(self._cluster.run("get", "--raw", path, timeout_seconds=INTERVAL_SECONDS))
            except KubectlError:
                continue  # a gap in what is drawn beside the load, and no reason to end it
            self.found += resources_of(answer, at_seconds=time.monotonic() - self._began)
