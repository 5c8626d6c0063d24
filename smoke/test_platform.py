"""What the API server says of the workloads: all replicas ready, apart from each other, guarded against disruption."""

from smoke.checks import Checks
from smoke.stack import RunningStack

RESTRICTED_LABELS = {"pod-security.kubernetes.io/enforce": "restricted"}


def test_all_replicas_are_ready(stack: RunningStack, checks: Checks) -> None:
    """As many pods as declared run and are ready."""
    for workload in stack.inventory.workloads:
        ready = [
            pod
            for pod in stack.pods[workload.name]
            for condition in pod["status"]["conditions"]
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]
        checks.equal("pods.ready", workload.name, declared=workload.replicas, observed=len(ready))
        if workload.pods:
            names = {pod["metadata"]["name"] for pod in stack.pods[workload.name]}
            checks.equal("pods.names", workload.name, declared=set(workload.pods), observed=names)


def test_replicas_are_spread_over_nodes(stack: RunningStack, checks: Checks) -> None:
    """A node holds one pod more than another at most, so that one node's loss takes no majority."""
    nodes = [node for node in stack.kubectl.get("nodes")["items"] if not node["spec"].get("unschedulable")]
    for workload in stack.inventory.workloads:
        used = {pod["spec"]["nodeName"] for pod in stack.pods[workload.name]}
        declared = min(workload.replicas, len(nodes))
        checks.equal("spread.nodes", workload.name, declared=declared, observed=len(used))


def test_disruption_budgets_guard_every_workload(stack: RunningStack, checks: Checks) -> None:
    """Each workload has a budget that selects exactly its pods, is met now, and leaves one pod at most to take."""
    budgets = stack.kubectl.get("poddisruptionbudgets")["items"]
    for workload in stack.inventory.workloads:
        guarding = [
            budget
            for budget in budgets
            if budget["spec"].get("selector", {}).get("matchLabels", {}).items() <= workload.selector.items()
            and budget["spec"].get("selector", {}).get("matchLabels")
        ]
        checks.equal("disruption.budgets", workload.name, declared=1, observed=len(guarding))
        for budget in guarding:
            status = budget["status"]
            checks.equal(
                "disruption.expected_pods",
                workload.name,
                declared=workload.replicas,
                observed=status.get("expectedPods"),
            )
            checks.that(
                "disruption.healthy",
                workload.name,
                status.get("currentHealthy", 0) >= status.get("desiredHealthy", 1),
                declared=f"at least {status.get('desiredHealthy')} healthy",
                observed=f"{status.get('currentHealthy')} healthy",
            )
            checks.that(
                "disruption.allowed",
                workload.name,
                status.get("disruptionsAllowed", 99) <= 1 or workload.kind == "Deployment",
                declared="at most 1 at a time",
                observed=status.get("disruptionsAllowed"),
            )


def test_namespace_enforces_the_restricted_profile(stack: RunningStack, checks: Checks) -> None:
    """The namespace's labels make the API server refuse pods with more rights than "restricted" gives."""
    labels = stack.kubectl.get("namespace", stack.inventory.namespace)["metadata"]["labels"]
    for name, value in RESTRICTED_LABELS.items():
        checks.equal("namespace.pod_security", name, declared=value, observed=labels.get(name, "missing"))
