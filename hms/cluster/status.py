"""What runs of a cluster and what does not."""

import msgspec

from hms.cluster.machine import PartStatus
from hms.kubectl import Kubectl

ANSWER_SECONDS = 10.0


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of a cluster.

    `faults` are what was done to a node and not undone, such as "frozen" or "cut off"; only nodes with one are in it.
    `ready` is by node, `pods` by the cluster's own Deployments; both are as the API says, and empty if it is silent.
    """

    name: str
    nodes: int
    api: str
    kubeconfig: str
    parts: tuple[PartStatus, ...]
    faults: dict[str, str]
    ready: dict[str, bool]
    pods: dict[str, bool]

    @property
    def is_up(self) -> bool:
        """Return whether every part runs, no fault is left, and every node and Deployment is ready."""
        return (
            not self.faults
            and all(part.pid is not None for part in self.parts)
            and len(self.ready) == self.nodes
            and all(self.ready.values())
            and all(self.pods.values())
        )


def node_readiness(kubectl: Kubectl) -> dict[str, bool]:
    """Return for each node whether it is Ready; `KubectlError` if the API is silent."""
    return {
        item["metadata"]["name"]: any(
            condition["type"] == "Ready" and condition["status"] == "True" for condition in item["status"]["conditions"]
        )
        for item in kubectl.get("nodes", timeout_seconds=ANSWER_SECONDS)["items"]
    }


def deployment_readiness(kubectl: Kubectl) -> dict[str, bool]:
    """Return for each of the cluster's own Deployments whether a pod of it is ready."""
    items = kubectl.within("kube-system").get("deployments", timeout_seconds=ANSWER_SECONDS)["items"]
    return {item["metadata"]["name"]: item.get("status", {}).get("readyReplicas", 0) > 0 for item in items}
