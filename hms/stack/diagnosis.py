"""Why a stack did not become ready: which pods, their last events, and their last lines."""

from collections.abc import Iterator
from typing import Any

from hms.errors import KubectlError
from hms.kubectl import Kubectl

Object = dict[str, Any]

EVENTS_SHOWN = 4
LINES_SHOWN = 8
_IMAGE_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}


def unready_pods(pods: list[Object]) -> list[Object]:
    """Return the pods that should serve and do not: neither ready nor finished well."""
    return [pod for pod in pods if not _ready(pod) and pod["status"].get("phase") != "Succeeded"]


def _ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def pod_reason(pod: Object) -> str:
    """Say in a few words why a pod is not ready."""
    for container in pod["status"].get("containerStatuses") or []:
        waiting = container["state"].get("waiting")
        if waiting:
            ended = (container.get("lastState") or {}).get("terminated")
            last = f"; it ended with {ended.get('reason')}, exit code {ended.get('exitCode')}" if ended else ""
            return f"container {container['name']}: {waiting.get('reason', 'waiting')}{last}"
        ended = container["state"].get("terminated")
        if ended:
            return f"container {container['name']}: {ended.get('reason')}, exit code {ended.get('exitCode')}"
    for condition in pod["status"].get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return f"not scheduled: {condition.get('message', condition.get('reason', 'no reason given'))}"
    return "running, but its readiness probe fails"


def diagnose(kubectl: Kubectl) -> str:
    """Return what is known of each pod of the namespace that is not ready; empty if all are.

    A cluster that does not answer is itself the finding.
    """
    try:
        pods = unready_pods(list(kubectl.get("pods")["items"]))
        return "\n".join(line for pod in pods for line in _describe(kubectl, pod))
    except KubectlError as error:
        return f"the cluster could not be asked for the reason: {error.message}"


def _describe(kubectl: Kubectl, pod: Object) -> Iterator[str]:
    name = str(pod["metadata"]["name"])
    yield f"pod {name}: {pod_reason(pod)}"
    events = kubectl.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    for event in events[-EVENTS_SHOWN:]:
        yield f"  event {event.get('reason')}: {str(event.get('message', '')).strip()}"
    yield from _log(kubectl, pod)
    if any(_waiting_reason(c) in _IMAGE_REASONS for c in pod["status"].get("containerStatuses") or []):
        yield "  The image is not there: `hms images` builds it, with --cluster, --kind or --push takes it there."


def _log(kubectl: Kubectl, pod: Object) -> Iterator[str]:
    for container in pod["status"].get("containerStatuses") or []:
        if not container.get("containerID") and not container.get("restartCount"):
            continue
        previous = ["--previous"] if _waiting_reason(container) == "CrashLoopBackOff" else []
        try:
            text = kubectl.run(
                "logs", str(pod["metadata"]["name"]), "-c", str(container["name"]), f"--tail={LINES_SHOWN}", *previous
            )
        except KubectlError as error:
            text = f"(no log: {error.message})"
        for line in text.splitlines():
            yield f"  {container['name']} | {line}"


def _waiting_reason(container: Object) -> str:
    return str((container["state"].get("waiting") or {}).get("reason", ""))
