"""Stacks that are not what they declare, each wrong in one way, and mended again at the end."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from hms.inventory import Inventory
from hms.kubectl import Kubectl
from hms.quantity import format_bytes

ROLLOUT_SECONDS = 180.0

Broken = Callable[[Inventory, Kubectl], AbstractContextManager[None]]


@contextmanager
def more_memory_than_declared(inventory: Inventory, kubectl: Kubectl) -> Iterator[None]:
    """Let the app's containers use 16 MiB more than the stack declares."""
    declared = inventory.workload("app").containers[0].limits.memory_limit_bytes
    _limit_app(kubectl, declared + 16 * 1024**2)
    try:
        yield
    finally:
        _limit_app(kubectl, declared)


def _limit_app(kubectl: Kubectl, memory_bytes: int) -> None:
    limits = {"limits": {"memory": format_bytes(memory_bytes)}}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "resources": limits}]}}}}
    kubectl.run("patch", "deployment", "app", "--patch", json.dumps(patch))
    kubectl.run(
        "rollout", "status", "deployment", "app", f"--timeout={ROLLOUT_SECONDS:g}s",
        timeout_seconds=ROLLOUT_SECONDS + 5,
    )  # fmt: skip
    # Pods of the old kind may still be ending; a check that begins now does not count them, but the next rollout does.
    kubectl.run("wait", "pods", "-l", "app.kubernetes.io/name=app", "--for=condition=Ready", "--timeout=60s",
                timeout_seconds=65.0)  # fmt: skip


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


@contextmanager
def a_network_without_the_denial(_inventory: Inventory, kubectl: Kubectl) -> Iterator[None]:
    """Take the policy away that denies everything to pods of which no other policy speaks."""
    policy = kubectl.get("networkpolicy", "default-deny")
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        policy["metadata"].pop(field, None)
    kubectl.run("delete", "networkpolicy", "default-deny")
    try:
        yield
    finally:
        kubectl.run("create", "-f", "-", stdin=json.dumps(policy))
