"""Stacks that are not what they declare, each wrong in one way, and mended again at the end."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.quantity import format_bytes

RESIZE_SECONDS = 60.0

Broken = Callable[[Inventory, Kubectl], AbstractContextManager[None]]


@contextmanager
def more_memory_than_declared(inventory: Inventory, kubectl: Kubectl) -> Iterator[None]:
    """Let one pod of the app use 16 MiB more than declared: resized in place, so that its Deployment knows nothing."""
    workload = inventory.workload("app")
    pod = kubectl.pods(workload.selector)[0]["metadata"]["name"]
    declared = workload.containers[0].limits.memory_limit_bytes
    _resize(kubectl, pod, declared + 16 * 1024**2)
    try:
        yield
    finally:
        _resize(kubectl, pod, declared)


def _resize(kubectl: Kubectl, pod: str, memory_bytes: int) -> None:
    limits = {"limits": {"memory": format_bytes(memory_bytes)}}
    patch = {"spec": {"containers": [{"name": "app", "resources": limits}]}}
    kubectl.run("patch", "pod", pod, "--subresource", "resize", "--patch", json.dumps(patch))
    # The API server has it at once, the kernel when the kubelet has told it, which then stands in the status.
    has_it = "--for=jsonpath={.status.containerStatuses[0].resources.limits.memory}=" + limits["limits"]["memory"]
    kubectl.run("wait", "pod", pod, has_it, f"--timeout={RESIZE_SECONDS:g}s", timeout_seconds=RESIZE_SECONDS + 5)


@contextmanager
def a_setting_that_one_member_has_alone(inventory: Inventory, kubectl: Kubectl) -> Iterator[None]:
    """Give the last Postgres member another `work_mem`, as someone would who tries something out and forgets it."""
    pod = inventory.workload("postgres").pods[-1]
    _psql(kubectl, pod, "ALTER SYSTEM SET work_mem = '1234kB'")
    try:
        yield
    finally:
        _psql(kubectl, pod, "ALTER SYSTEM RESET work_mem")


def _psql(kubectl: Kubectl, pod: str, statement: str) -> None:
    kubectl.exec(
        pod, "postgres",
        ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-c", statement, "-c", "SELECT pg_reload_conf()"],
    )  # fmt: skip


@contextmanager
def a_network_that_is_open(inventory: Inventory, kubectl: Kubectl) -> Iterator[None]:
    """Let every pod speak to every other: a policy that someone added to find a fault, and left."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "allow-all-for-now", "namespace": inventory.namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]},
    }
    kubectl.run("create", "-f", "-", stdin=json.dumps(policy))
    try:
        yield
    finally:
        kubectl.run("delete", "networkpolicy", "allow-all-for-now")
