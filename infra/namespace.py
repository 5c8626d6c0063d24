"""The stack's namespace: Pod Security "restricted", a quota, and limits for containers that state none."""

import pulumi
from pulumi_kubernetes.core.v1 import (
    LimitRange,
    LimitRangeItemArgs,
    LimitRangeSpecArgs,
    Namespace,
    ResourceQuota,
    ResourceQuotaSpecArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from hms.quantity import format_bytes, format_millicores
from hms.spec import StackSpec
from hms.spec_resources import ResourceSpec
from infra.names import PART_OF

_GIB = 1024**3
# Room for what checks, loads and drills start beside the stack: a Locust master and workers, two writers, a probe.
_GUESTS = ResourceSpec(
    cpu_request_millicores=2000,
    cpu_limit_millicores=16_000,
    memory_request_bytes=2 * _GIB,
    memory_limit_bytes=8 * _GIB,
)
_GUEST_PODS = 16


def quota(spec: StackSpec) -> dict[str, str]:
    """Return the namespace's hard limits: the stack at its largest, one more app pod in a rollout, and guests."""
    parts = (
        (spec.postgres.members, spec.postgres.resources),
        (spec.postgres.members if spec.postgres.witness == "on" else 0, spec.postgres.witness_resources),
        (spec.redis.nodes, spec.redis.resources),
        (spec.sentinel.members, spec.sentinel.resources),
        (spec.app.max_replicas + 1, spec.app.resources),
        (1, spec.load),
        (1, _GUESTS),
    )
    return {
        "pods": str(_pods(spec) + _GUEST_PODS),
        "requests.cpu": format_millicores(sum(n * r.cpu_request_millicores for n, r in parts)),
        "limits.cpu": format_millicores(sum(n * r.cpu_limit_millicores for n, r in parts)),
        "requests.memory": format_bytes(sum(n * r.memory_request_bytes for n, r in parts)),
        "limits.memory": format_bytes(sum(n * r.memory_limit_bytes for n, r in parts)),
    }


def _pods(spec: StackSpec) -> int:
    """Return how many pods the stack has at its largest, with one more of the app in a rollout and the data's load."""
    return spec.postgres.members + spec.redis.nodes + spec.sentinel.members + spec.app.max_replicas + 1 + 1


class RestrictedNamespace(pulumi.ComponentResource):
    """A namespace in which no pod can have a privilege and none goes without limits.

    Exports `namespace`, with which everything in it is deleted.
    """

    def __init__(self, name: str, spec: StackSpec, *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hms:namespace:RestrictedNamespace", name, None, opts)
        modes = ("enforce", "audit", "warn")
        self.namespace = Namespace(
            spec.namespace,
            metadata=ObjectMetaArgs(
                name=spec.namespace,
                labels={
                    "app.kubernetes.io/part-of": PART_OF,
                    **{f"pod-security.kubernetes.io/{mode}": "restricted" for mode in modes},
                    **{f"pod-security.kubernetes.io/{mode}-version": "latest" for mode in modes},
                },
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        child = pulumi.ResourceOptions(parent=self, deleted_with=self.namespace, depends_on=[self.namespace])
        ResourceQuota(
            "quota",
            metadata=ObjectMetaArgs(name="stack", namespace=spec.namespace),
            spec=ResourceQuotaSpecArgs(hard=quota(spec)),
            opts=child,
        )
        LimitRange(
            "limits",
            metadata=ObjectMetaArgs(name="containers", namespace=spec.namespace),
            spec=LimitRangeSpecArgs(
                limits=[
                    LimitRangeItemArgs(
                        type="Container",
                        default={"cpu": "500m", "memory": "128Mi"},
                        default_request={"cpu": "20m", "memory": "32Mi"},
                    )
                ]
            ),
            opts=child,
        )
        self.register_outputs({"namespace": self.namespace.metadata.name})
