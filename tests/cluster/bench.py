"""A cluster to try things on: pods of one busybox each, and questions that they answer."""

import json
from typing import Any

from hms.cluster import Cluster
from hms.cluster.archive import system_images
from hms.cluster.binaries import find_binaries
from hms.cluster.machine import PartStatus
from hms.errors import KubectlError
from hms.kubectl import Kubectl
from tests.cluster.remains import eventually

NAMESPACE = "t-cluster"
BUSYBOX = "/bin/busybox"
SERVE = f"while true; do echo hello | {BUSYBOX} nc -l -p 8080; done"
IDLE = f"{BUSYBOX} sleep 3600"


class Bench:
    """A cluster that is up, a namespace in it, and the means to start pods there."""

    def __init__(self, cluster: Cluster, up_seconds: float) -> None:
        self.cluster = cluster
        self.up_seconds = up_seconds
        self.kubectl: Kubectl = cluster.kubectl().within(NAMESPACE)
        self.image = next(i for i in system_images(find_binaries()) if i.name == "pause").reference()

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def pod(self, name: str, command: str, *, node: int | None = None, claim: str | None = None) -> dict[str, Any]:
        """Return a pod that runs a line of shell, as "restricted" allows it, with 32 MiB."""
        mounts = [{"name": "data", "mountPath": "/data"}] if claim else []
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                **({"nodeSelector": {"kubernetes.io/hostname": f"node-{node}"}} if node else {}),
                "restartPolicy": "Always" if claim else "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "main",
                    "image": self.image,
                    "command": [BUSYBOX, "sh", "-c", command],
                    "resources": {"limits": {"memory": "32Mi", "cpu": "200m"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": mounts,
                }],
                "volumes": volumes,
            },
        }  # fmt: skip

    def await_ready(self, *pods: str) -> None:
        names = [f"pod/{name}" for name in pods]
        self.kubectl.run("wait", "--for=condition=Ready", *names, "--timeout=60s", timeout_seconds=70)

    def shell(self, pod: str, line: str) -> str:
        return self.kubectl.exec(pod, "main", [BUSYBOX, "sh", "-c", line])

    def address(self, pod: str) -> str:
        return str(self.kubectl.get("pod", pod)["status"]["podIP"])

    def kernel_count(self, pod: str, protocol: str, name: str) -> int:
        """Return a figure that the kernel counts in a pod's network namespace."""
        lines = self.shell(pod, f"{BUSYBOX} cat /proc/net/snmp").splitlines()
        names, values = (line.split() for line in lines if line.startswith(f"{protocol}:"))
        return int(values[names.index(name)])

    def parts_of(self, node: int) -> list[PartStatus]:
        """Return a node's own parts."""
        return [part for part in self.cluster.status().parts if part.machine == f"node-{node}"]

    def reaches(self, pod: str, address: str, port: int) -> bool:
        """Return whether a connection from a pod is accepted within a second."""
        answer = self.shell(
            pod, f"{BUSYBOX} nc -w 1 {address} {port} </dev/null >/dev/null 2>&1 && echo yes || echo no"
        )
        return answer.strip() == "yes"

    def await_reach(self, pod: str, address: str, *, reaches: bool) -> None:
        """Wait until connections from a pod to port 8080 of an address are accepted, or are not."""
        eventually(
            lambda: self.reaches(pod, address, 8080) is reaches,
            within_seconds=20, what=f"{pod} {'reaches' if reaches else 'does not reach'} {address}",
        )  # fmt: skip

    def answers(self, node: int) -> bool:
        """Return whether the API server gets an answer out of a node's kubelet within two seconds."""
        try:
            path = f"/api/v1/nodes/node-{node}/proxy/healthz"
            return self.kubectl.run("get", "--raw", path, "--request-timeout=2s", timeout_seconds=10) == "ok"
        except KubectlError:
            return False
