"""Who may connect to whom: the declared flows against every connection that could be tried. Pure.

Every port on which a workload listens is tried from every workload. So a flow that is closed shows, and one that is
open without having been declared shows as well.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hms.inventory import Inventory

CONNECT_SECONDS = 2
"""How long an attempt may take. A policy may drop packets or refuse them; both count as closed."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Attempt:
    """A connection to try: from a pod of `source` to one pod of `target`."""

    source: str
    target: str
    port: int
    address: str


def attempts(inventory: Inventory, addresses: Mapping[str, Sequence[str]], *, source: str) -> list[Attempt]:
    """Return every connection to try from a workload's pod; `addresses` are the pods' by workload.

    `addresses` must not have the source pod's own: a pod reaches itself past all policies.
    """
    return [
        Attempt(source=source, target=workload.name, port=port, address=address)
        for workload in inventory.workloads
        for port in sorted({port for container in workload.containers for port in container.ports})
        for address in addresses.get(workload.name, ())
    ]


def declared(inventory: Inventory, attempt: Attempt) -> bool:
    """Tell whether the stack declares that this connection is open."""
    return any(
        (flow.source, flow.target, flow.port) == (attempt.source, attempt.target, attempt.port)
        for flow in inventory.flows
    )


def connect_script(tries: Iterable[Attempt]) -> str:
    """Return the shell command that tries all at once and prints a line `ADDRESS PORT open|closed` for each."""
    lines = [
        f"{{ if timeout {CONNECT_SECONDS} bash -c ': < /dev/tcp/{a.address}/{a.port}' 2> /dev/null; "
        f"then echo {a.address} {a.port} open; else echo {a.address} {a.port} closed; fi; }} &"
        for a in tries
    ]
    return "\n".join([*lines, "wait"])


def parse_connected(text: str) -> dict[tuple[str, int], bool]:
    """Return whether a connection came about, by address and port."""
    found = {}
    for line in text.splitlines():
        address, port, outcome = line.split()
        found[(address, int(port))] = outcome == "open"
    return found


def denies_all(policy: Mapping[str, Any]) -> bool:
    """Tell whether a NetworkPolicy's spec forbids every pod every connection, in and out."""
    every_pod = not policy.get("podSelector")
    both_ways = set(policy.get("policyTypes", ())) == {"Ingress", "Egress"}
    return every_pod and both_ways and not policy.get("ingress") and not policy.get("egress")


def allows_all(policy: Mapping[str, Any]) -> bool:
    """Tell whether a NetworkPolicy's spec has a rule without any peer and port: it lets everyone in or out."""
    return any(not rule for way in ("ingress", "egress") for rule in policy.get(way) or ())
