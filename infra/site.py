"""The `Site`: what every component needs to know of the stack that it is a part of."""

import hashlib
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from hms.kubectl import Kubectl
from hms.spec import StackSpec
from infra.names import labels

# Patroni's Service is awaited by nobody, and the await of any Service costs ten seconds.
SKIP_AWAIT = {"pulumi.com/skipAwait": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A stack's spec, its cluster, its namespace, and the resource that holds the namespace.

    Everything but the workloads is deleted with the namespace, so `destroy` leaves nothing, not even what Patroni made.
    The workloads go first. A namespace that still has pods is looked at again only after half of their longest grace
    period, whenever they end; and what a pod needs to stop in good order is there until it has.
    """

    spec: StackSpec
    cluster: Kubectl
    namespace: pulumi.Resource

    def meta(
        self,
        name: str,
        workload: str,
        *,
        annotations: dict[str, str] | None = None,
        extra: dict[str, str] | None = None,
    ) -> ObjectMetaArgs:
        """Return the metadata of an object of a workload; `extra` are more labels."""
        return ObjectMetaArgs(
            name=name,
            namespace=self.spec.namespace,
            labels={**labels(workload), **(extra or {})},
            annotations=annotations,
        )

    def child(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a component's child."""
        return pulumi.ResourceOptions(parent=parent, deleted_with=self.namespace)

    def awaited(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return the options of a child whose pods `up` waits for, as long as the spec says, and `destroy` as well."""
        limit = f"{self.spec.ready_timeout_seconds}s"
        timeouts = pulumi.CustomTimeouts(create=limit, update=limit, delete="120s")
        return pulumi.ResourceOptions(parent=parent, custom_timeouts=timeouts)


def digest(text: str) -> str:
    """Return a short digest of a configuration, put on the pods so that a changed one rolls them."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
