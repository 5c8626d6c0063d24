"""A pod deleted by force: its containers are killed and its address is gone, as when its node's kubelet does it."""

from drills.stage import Injection, Stage
from hms.errors import HmsError, KubectlError
from hms.kubectl import Kubectl


def uid_of(kubectl: Kubectl, pod: str) -> str:
    """Return the identity of the pod that bears this name now; empty if none does."""
    try:
        return str(kubectl.get("pod", pod)["metadata"]["uid"])
    except KubectlError as error:
        if "NotFound" in error.stderr:
            return ""
        raise


def delete_by_force(stage: Stage, pod: str) -> Injection:
    """Delete a pod without grace; the note is its uid, by which `is_another` knows its successor."""
    before = stage.state()
    uid = uid_of(stage.kubectl, pod)
    if not uid:
        raise HmsError(f"pod {pod}: not there", remedy="Is the stack in its steady state?")
    at_ns, uncertainty_ns = stage.moment()
    stage.kubectl.run("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false")
    return Injection(pod, at_ns, uncertainty_ns, before, (uid,))


def is_another(stage: Stage, injection: Injection) -> str:
    """Return how the API server sees that the pod is gone; empty if it is the same one."""
    uid = uid_of(stage.kubectl, injection.target)
    old = injection.notes[0]
    if uid == old:
        return ""
    return f"pod {old[:8]} is gone" + (f", {uid[:8]} has its name" if uid else "")
