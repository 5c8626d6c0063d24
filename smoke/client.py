"""A client's pod: what may call the app from inside the cluster, and nothing else."""

import json
import time
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

from hms.errors import StackError
from hms.inventory import Inventory
from hms.kubectl import Kubectl

LABEL = "hms.smoke/client"
START_SECONDS = 45.0
POLL_SECONDS = 0.2
LIFETIME_SECONDS = 300

_GET = """
import json, sys, urllib.request, urllib.error
answers = []
for url in sys.argv[1:]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            answers.append([answer.status, answer.read().decode()])
    except urllib.error.HTTPError as error:
        answers.append([error.code, error.read().decode()])
    except OSError as error:
        answers.append([0, str(error)])
print(json.dumps(answers))
"""


def client_pod(name: str, *, image: str) -> dict[str, Any]:
    """Return the manifest of a pod that is allowed what the load generator is, and ends by itself."""
    security = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/part-of": "hms", "app.kubernetes.io/name": "loadgen", LABEL: "true"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFETIME_SECONDS,
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "client",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", str(LIFETIME_SECONDS)],
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "500m", "memory": "64Mi"},
                    },
                    "securityContext": security,
                }
            ],
        },
    }


class Client:
    """The pod, there for the length of a `with`. One that a killed run left behind is removed first."""

    def __init__(self, inventory: Inventory, kubectl: Kubectl) -> None:
        self._kubectl = kubectl.within(inventory.namespace)
        self._image = inventory.loadgen_image
        self._name = f"smoke-client-{token_hex(3)}"
        self._ready = False

    def __enter__(self) -> Self:
        """Ask for the pod; it is waited for when it is first used."""
        self._remove()
        manifest = client_pod(self._name, image=self._image)
        self._kubectl.run("create", "-f", "-", stdin=json.dumps(manifest))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the pod."""
        self._remove()

    def _remove(self) -> None:
        self._kubectl.run("delete", "pods", "-l", LABEL, "--wait=false", "--ignore-not-found")

    def get(self, *urls: str) -> list[tuple[int, str]]:
        """Return status and body of a GET of each URL; status 0 and the reason where no answer came.

        `StackError` if the pod does not run within `START_SECONDS`.
        """
        self._wait()
        text = self._kubectl.exec(
            self._name, "client", ["python3", "-c", _GET, *urls], timeout_seconds=10.0 + 5 * len(urls)
        )
        return [(int(status), str(body)) for status, body in json.loads(text)]

    def connect(self, script: str) -> str:
        """Run a shell script in the pod and return what it printed."""
        self._wait()
        return self._kubectl.exec(self._name, "client", ["sh", "-c", script])

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ready:
            status = self._kubectl.get("pod", self._name)["status"]
            self._ready = status.get("phase") == "Running"
            reason, hopeless = waiting_reason(status)
            if not self._ready and (hopeless or time.monotonic() > deadline):
                raise StackError(
                    f"pod {self._name}: not running: {reason or status.get('phase')}",
                    remedy=f"Its image is {self._image}; `hms images --help` says how to bring it to the nodes.",
                )
            if not self._ready:
                time.sleep(POLL_SECONDS)


def waiting_reason(status: dict[str, Any]) -> tuple[str, bool]:
    """Return why a pod does not run yet, and whether waiting is in vain: its image is nowhere to be had."""
    for container in status.get("containerStatuses", ()):
        waiting = container["state"].get("waiting", {})
        reason = str(waiting.get("reason", ""))
        if reason:
            return f"{reason} {waiting.get('message', '')}".strip(), reason in {"ImagePullBackOff", "InvalidImageName"}
    for condition in status.get("conditions", ()):
        if condition.get("reason") == "Unschedulable":
            return str(condition.get("message", "")), False
    return "", False
