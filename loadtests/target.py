"""Where a load may go: to the stack's own app, or to a service that somebody started on this machine."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from hms.errors import UsageError
from hms.inventory import Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An app by its root `url` and the other ways to write it; `what` says in an error whose it is."""

    url: str
    others: frozenset[str]
    what: str

    def problem(self, url: str) -> str:
        """Return why `url` is not this target; empty if it is."""
        return "" if url in {self.url, *self.others} else f"target {url!r}: not {self.what}"


def stack_target(inventory: Inventory) -> Target:
    """Return the app of a stack, inside its own namespace."""
    endpoint = inventory.endpoint("app")
    name = endpoint.host.split(".")[0]
    inside = f"{name}.{inventory.namespace}"
    hosts = {name, inside, f"{inside}.svc", f"{inside}.svc.cluster.local"}
    ports = {f":{endpoint.port}", ""} if endpoint.port == 80 else {f":{endpoint.port}"}
    url = f"http://{endpoint.host}:{endpoint.port}"
    return Target(
        url=url,
        others=frozenset(f"http://{host}{port}" for host in hosts for port in ports),
        what=f"the app of stack {inventory.stack}; must be {url} in namespace {inventory.namespace}",
    )


def loopback_target(url: str) -> Target:
    """Return a service at an address of this machine's loopback; `UsageError` if the URL is of another place."""
    parts = urlsplit(url)
    try:
        inside = ipaddress.ip_address(parts.hostname or "").is_loopback and (parts.port or 80) > 0
    except ValueError:
        inside = False
    if parts.scheme != "http" or not inside or parts.username or parts.path or parts.query or parts.fragment:
        raise UsageError(
            f"--alone {url!r}: must be an address of this machine's loopback, as in http://127.0.0.1:8080",
            remedy="A load goes to the stack's own app, or to a service that you started on this machine.",
        )
    return Target(url=url, others=frozenset(), what=f"the service on this machine; must be {url}")
