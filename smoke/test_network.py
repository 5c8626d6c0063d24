"""Who may connect to whom: every port of every workload, tried from every workload and from a client."""

from smoke.checks import Checks
from smoke.client import Client
from smoke.network import (
    Attempt,
    allows_all,
    attempts,
    connect_script,
    declared,
    denies_all,
    parse_connected,
)
from smoke.stack import Place, RunningStack

CLIENT = "loadgen"


def test_declared_flows_are_open_and_no_others(stack: RunningStack, client: Client, checks: Checks) -> None:
    """A connection comes about exactly where the stack declares the flow."""
    addresses = {name: [pod["status"]["podIP"] for pod in pods] for name, pods in stack.pods.items()}

    def tries_from(place: Place) -> list[Attempt]:
        others = {name: [a for a in listed if a != place.address][:1] for name, listed in addresses.items()}
        return attempts(stack.inventory, others, source=place.workload.name)

    sources = [stack.places_of(workload.name)[0] for workload in stack.inventory.workloads]
    for place, answer in stack.ask_each(sources, lambda place: connect_script(tries_from(place))):
        _check(stack, tries_from(place), answer, checks)
    tries = attempts(stack.inventory, {name: listed[:1] for name, listed in addresses.items()}, source=CLIENT)
    _check(stack, tries, client.connect(connect_script(tries)), checks)


def test_what_is_not_allowed_is_denied(stack: RunningStack, checks: Checks) -> None:
    """A policy denies every pod of the namespace everything, so that one which nobody thought of has no flow at all."""
    policies = stack.kubectl.get("networkpolicies")["items"]
    denying = [policy["metadata"]["name"] for policy in policies if denies_all(policy["spec"])]
    checks.equal("network.default_denial", stack.inventory.namespace, declared=1, observed=len(denying))
    opening = tuple(policy["metadata"]["name"] for policy in policies if allows_all(policy["spec"]))
    checks.equal("network.open_to_all", stack.inventory.namespace, declared=(), observed=opening)


def _check(stack: RunningStack, tries: list[Attempt], answer: str, checks: Checks) -> None:
    connected = parse_connected(answer)
    for attempt in tries:
        expected = "open" if declared(stack.inventory, attempt) else "closed"
        seen = "open" if connected[(attempt.address, attempt.port)] else "closed"
        target = f"{attempt.source} -> {attempt.target}:{attempt.port}"
        checks.equal("network.flow", target, declared=expected, observed=seen)
