"""The wait for a StatefulSet that the Kubernetes provider took for rolled out when its controller had not looked yet.

The provider waits until ready replicas and revisions agree, but never compares `status.observedGeneration` with
`metadata.generation`: right after an update it may read the earlier generation's status, which says that all is well.
Seen with pulumi-kubernetes 4.25: updates "done" in 0.5 s, pods of the old revision for seconds afterwards, and an `up`
that passed though the new pods could never be scheduled. `kubectl rollout status` does compare them.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet

from hms.errors import KubectlError
from hms.kubectl import Kubectl


def rolled_out(stateful_set: StatefulSet, cluster: Kubectl, *, timeout_seconds: int) -> pulumi.Output[bool]:
    """Return whether a wait was needed; it is over, and the update may end, when every pod is of the new generation.

    `pulumi.RunError` after `timeout_seconds`, with what is missing.
    """

    async def wait(found: list[Any]) -> bool:
        name, generation, status = found
        if pulumi.runtime.is_dry_run() or not _is_stale(generation, status):
            return False
        pulumi.log.info(f"StatefulSet {name}: waiting for its pods, its controller has only now seen the change")
        command = ("rollout", "status", f"statefulset/{name}", f"--timeout={timeout_seconds}s")
        try:
            await asyncio.to_thread(cluster.run, *command, timeout_seconds=timeout_seconds + 10.0)
        except KubectlError as error:
            raise pulumi.RunError(
                f"StatefulSet {name}: not rolled out within {timeout_seconds} s: {error.message}"
            ) from error
        return True

    return pulumi.Output.all(stateful_set.metadata.name, stateful_set.metadata.generation, stateful_set.status).apply(
        wait
    )


def _is_stale(generation: int | None, status: Mapping[str, Any] | None) -> bool:
    """Return whether a status speaks of an earlier generation; without either there is nothing to wait for."""
    if generation is None or status is None:
        return False
    observed = status.get("observed_generation")
    return observed is None or observed < generation
