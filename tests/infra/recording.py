"""The program run against Pulumi's mocks: what a cluster would get, as plain data."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.stack import run_pulumi_func
from pulumi_kubernetes import Provider

from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.spec import SECRET_KEYS, StackSpec
from infra.program import build

Object = dict[str, Any]

NOWHERE = Kubectl(Path("nowhere"), "none", binary="false")
"""A cluster that cannot be asked: what a program registers needs none."""

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
"""How Pulumi marks a secret on the wire: an object with this signature, whose `value` is the secret."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as it was registered: its type token, its name, its inputs with secrets still marked."""

    token: str
    name: str
    inputs: Object

    @property
    def kind(self) -> str:
        """The Kubernetes kind, empty for a component."""
        return self.token.rpartition(":")[2] if self.token.startswith("kubernetes:") else ""


@dataclass(slots=True)
class Recorder(Mocks):
    """Mocks that keep what is registered and give a Service an address."""

    resources: list[Resource] = field(default_factory=list)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Record a resource; its outputs are its inputs."""
        inputs = cast(Object, args.inputs)
        self.resources.append(Resource(str(args.typ), str(args.name), inputs))
        outputs = dict(inputs)
        if args.typ == "kubernetes:core/v1:Service":
            outputs["spec"] = {"clusterIP": f"address-of-{inputs['metadata']['name']}", **inputs["spec"]}
        return f"{args.name}-id", outputs

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """Refuse: the program invokes nothing, so that it needs no cluster to be previewed."""
        raise AssertionError(f"the program invoked {args.token}")


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything that one run of the program registered, and the Inventory that it returned."""

    resources: tuple[Resource, ...]
    inventory: Inventory

    def of(self, *kinds: str) -> list[Resource]:
        """Return the resources of these kinds."""
        return [resource for resource in self.resources if resource.kind in kinds]

    def one(self, kind: str, name: str) -> Object:
        """Return the inputs of the object of a kind and its name in the cluster."""
        found = [r.inputs for r in self.of(kind) if r.inputs["metadata"]["name"] == name]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of them"
        return found[0]

    def pods(self) -> list[tuple[str, Object]]:
        """Return every pod's spec with its workload's name."""
        workloads = self.of("StatefulSet", "Deployment", "Job")
        return [(str(w.inputs["metadata"]["name"]), w.inputs["spec"]["template"]["spec"]) for w in workloads]

    def containers(self) -> list[tuple[str, Object]]:
        """Return every container with its workload's name."""
        return [(name, container) for name, pod in self.pods() for container in pod["containers"]]


def secret_value(key: str) -> str:
    """Return the value that the tests give a secret."""
    return f"plain-{key}"


@cache
def recorded(spec: StackSpec) -> Recording:
    """Return what the program registers for a spec; it is run once."""
    return record(spec)


def record(spec: StackSpec) -> Recording:
    """Run the program for a spec against the mocks and return what it registered, in order of type and name."""
    recorder = Recorder()
    made: list[Inventory] = []

    def program() -> None:
        provider = Provider("cluster", kubeconfig="nowhere", context="none")
        made.append(build(spec, config=pulumi.Config("hms"), provider=provider, cluster=NOWHERE))

    with event_loop() as loop:
        set_mocks(recorder, project="hms", stack=spec.stack, preview=False)
        config = {f"hms:{key}": secret_value(key) for key in SECRET_KEYS}
        pulumi.runtime.set_all_config(config, list(config))
        loop.run_until_complete(run_pulumi_func(program))
    return Recording(tuple(sorted(recorder.resources, key=lambda each: (each.token, each.name))), made[0])


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield a loop of our own, closed at the end with those that the mocks open in each of its worker threads."""
    opened = [asyncio.new_event_loop()]

    def prepare_thread() -> None:
        opened.append(asyncio.new_event_loop())
        asyncio.set_event_loop(opened[-1])

    loop = opened[0]
    with ThreadPoolExecutor(max_workers=4, initializer=prepare_thread) as executor:
        loop.set_default_executor(executor)
        asyncio.set_event_loop(loop)
        try:
            yield loop
        finally:
            asyncio.set_event_loop(None)
    for each in opened:
        each.close()


def plain_strings(value: object) -> Iterator[str]:
    """Return every string that is not inside a marked secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET:
            return
        for part in value.values():
            yield from plain_strings(part)
    elif isinstance(value, Sequence):
        for part in value:
            yield from plain_strings(part)
