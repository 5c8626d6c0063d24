"""Pods deleted by force, with or without their volumes, and pods that are others than before."""

from collections.abc import Sequence

from drills.stage import Injection, Stage
from hms.errors import HmsError, KubectlError
from hms.kubectl import Kubectl


def uid_of(kubectl: Kubectl, kind: str, name: str) -> str:
    """Return the identity of the object that bears this name now; empty if none does."""
    try:
        return str(kubectl.get(kind, name)["metadata"]["uid"])
    except KubectlError as error:
        if "NotFound" in error.stderr:
            return ""
        raise


def claims_of(kubectl: Kubectl, pod: str) -> tuple[str, ...]:
    """Return the volume claims of a pod."""
    volumes = kubectl.get("pod", pod)["spec"]["volumes"]
    claims = (volume.get("persistentVolumeClaim") for volume in volumes)
    return tuple(str(claim["claimName"]) for claim in claims if claim)


def running_pods(stage: Stage, selector: dict[str, str]) -> tuple[str, ...]:
    """Return the pods that bear these labels and run."""
    pods = stage.kubectl.pods(selector)
    return tuple(str(pod["metadata"]["name"]) for pod in pods if pod["status"].get("phase") == "Running")


def delete_by_force(stage: Stage, pods: Sequence[str], *, claims: Sequence[str] = ()) -> Injection:
    """Delete pods without grace, and volume claims, which go with them; `is_another` knows their successors.

    Containers are killed and the address is gone, as when their node's kubelet does it.
    """
    before = stage.state()
    notes = [f"pod/{pod}={uid_of(stage.kubectl, 'pod', pod)}" for pod in pods]
    notes += [f"pvc/{claim}={uid_of(stage.kubectl, 'pvc', claim)}" for claim in claims]
    absent = [note.partition("=")[0] for note in notes if note.endswith("=")]
    if absent:
        raise HmsError(f"{', '.join(absent)}: not there", remedy="Is the stack in its steady state?")
    at_ns, uncertainty_ns = stage.moment()
    if claims:
        stage.kubectl.run("delete", "pvc", *claims, "--wait=false")
        # With its claim goes nothing before the pod does: the last moment before the loss is now.
        at_ns, uncertainty_ns = stage.moment()
    stage.kubectl.run("delete", "pod", *pods, "--force", "--grace-period=0", "--wait=false")
    return Injection(", ".join(pods), at_ns, uncertainty_ns, before, tuple(notes))


def is_another(stage: Stage, injection: Injection) -> str | None:
    """Return how the API server sees that every object of the notes is gone; None as long as one is there."""
    seen: list[str] = []
    for note in injection.notes:
        what, _, old = note.partition("=")
        kind, _, name = what.partition("/")
        now = uid_of(stage.kubectl, kind, name)
        if now == old:
            return None
        seen.append(f"{what} {old[:8]} is gone" + (f", {now[:8]} has its name" if now else ""))
    return "; ".join(seen)
