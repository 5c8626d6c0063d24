"""The running stack as the checks reach it: pods found by their labels, containers entered with testinfra."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import testinfra  # type: ignore[import-untyped]  # the package ships no types

from hms.errors import StackError
from hms.inventory import Container, Inventory, Limits, Workload
from hms.kubectl import Kubectl
from hms.quantity import parse_bytes, parse_millicores
from smoke.probe import Facts, parse_facts, probe_script

PARALLEL = 4
"""How many containers are asked at once; each question is a kubectl of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One running container of a workload, and the pod it is in as the API server shows it."""

    workload: Workload
    container: Container
    pod: dict[str, Any]

    @property
    def pod_name(self) -> str:
        """The pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def target(self) -> str:
        """How a check names this container."""
        return f"{self.pod_name}/{self.container.name}"

    @property
    def address(self) -> str:
        """The pod's address."""
        return str(self.pod["status"]["podIP"])

    @property
    def observed_image(self) -> str:
        """The image that the API server has for the container."""
        return str(self._spec["image"])

    @property
    def observed_limits(self) -> Limits:
        """The requests and limits that the API server has for the container."""
        requests, limits = self._spec["resources"]["requests"], self._spec["resources"]["limits"]
        return Limits(
            cpu_request_millicores=parse_millicores(requests["cpu"]),
            cpu_limit_millicores=parse_millicores(limits["cpu"]),
            memory_request_bytes=parse_bytes(requests["memory"]),
            memory_limit_bytes=parse_bytes(limits["memory"]),
        )

    @property
    def _spec(self) -> dict[str, Any]:
        for spec in self.pod["spec"]["containers"]:
            if spec["name"] == self.container.name:
                return cast(dict[str, Any], spec)
        raise StackError(f"pod {self.pod_name}: no container {self.container.name}, which its workload declares")


def secret_paths(pod: dict[str, Any], container: str) -> list[str]:
    """Return where a container has secrets mounted: volumes of kind secret, and projections of one."""
    volumes = {
        volume["name"]
        for volume in pod["spec"].get("volumes", ())
        if "secret" in volume or any("secret" in source for source in volume.get("projected", {}).get("sources", ()))
    }
    return [
        str(mount["mountPath"])
        for spec in pod["spec"]["containers"]
        if spec["name"] == container
        for mount in spec.get("volumeMounts", ())
        if mount["name"] in volumes
    ]


class RunningStack:
    """A stack's pods and what its containers answer.

    Pods are read once, at the first use, and facts of containers once each; who is primary is never kept: a check asks
    when it needs to know.
    """

    def __init__(self, inventory: Inventory, kubectl: Kubectl) -> None:
        self.inventory = inventory
        self.kubectl = kubectl.within(inventory.namespace)

    @cached_property
    def pods(self) -> dict[str, list[dict[str, Any]]]:
        """The pods by workload; those that are being deleted or have ended are left out."""
        listed = self.kubectl.pods({"app.kubernetes.io/part-of": "hms"})
        running = [
            pod
            for pod in listed
            if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") == "Running"
        ]
        return {
            workload.name: [pod for pod in running if workload.selector.items() <= pod["metadata"]["labels"].items()]
            for workload in self.inventory.workloads
        }

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Every declared container of every running pod."""
        return tuple(
            Place(workload=workload, container=container, pod=pod)
            for workload in self.inventory.workloads
            for pod in self.pods[workload.name]
            for container in workload.containers
        )

    def places_of(self, workload: str) -> list[Place]:
        """Return the containers of the workload's own name, a pod each; `StackError` if there is none."""
        found = [p for p in self.places if p.workload.name == workload and p.container.name == workload]
        if not found:
            raise StackError(f"stack {self.inventory.stack}: no running pod of {workload}")
        return found

    def ask(self, place: Place, script: str) -> str:
        """Run a shell script in a container and return what it printed; `StackError` if it failed."""
        host = testinfra.get_host(self.kubectl.testinfra_host(place.pod_name, place.container.name))
        done = host.run(script)
        if done.rc != 0:
            said = (done.stderr or done.stdout).strip()
            raise StackError(f"{place.target}: a question failed with exit code {done.rc}: {said[-500:]}")
        return str(done.stdout)

    def ask_each(self, places: Sequence[Place], script: Callable[[Place], str]) -> list[tuple[Place, str]]:
        """Run a script in each container, some at once, and return what they printed, in the order of `places`."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            answers = pool.map(lambda place: self.ask(place, script(place)), places)
            return list(zip(places, answers, strict=True))

    @cached_property
    def facts(self) -> list[tuple[Place, Facts]]:
        """What the kernel says of each container."""
        asked = self.ask_each(self.places, lambda place: probe_script(secret_paths(place.pod, place.container.name)))
        return [(place, parse_facts(answer)) for place, answer in asked]
