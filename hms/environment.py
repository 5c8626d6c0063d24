"""Read what machine this is and what runs on the cluster, for the evidence."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hms.evidence import Environment
from hms.inventory import Inventory
from hms.kubectl import Kubectl


def _first_value(path: Path, key: str) -> str:
    for line in path.read_text(errors="replace").splitlines():
        name, _, value = line.partition(":" if ":" in line else "=")
        if name.strip() == key:
            return value.strip().strip('"')
    return "unknown"


def _image_digests(kubectl: Kubectl, inventory: Inventory) -> dict[str, str]:
    """Return the image digests that the nodes run, by the reference that the stack declared."""
    digests: dict[str, str] = {}
    for workload in inventory.workloads:
        for pod in kubectl.within(inventory.namespace).pods(workload.selector):
            for status in pod.get("status", {}).get("containerStatuses", ()):
                digests[str(status["image"])] = str(status.get("imageID", "unknown"))
    return dict(sorted(digests.items()))


def read_machine(tools: Mapping[str, str]) -> Environment:
    """Return this machine and the versions of `tools`; no cluster has a part in it."""
    return Environment(
        machine=platform.machine(),
        kernel=platform.release(),
        distribution=_first_value(Path("/etc/os-release"), "PRETTY_NAME"),
        cpu_model=_first_value(Path("/proc/cpuinfo"), "model name"),
        cpu_count=os.cpu_count() or 0,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        tools=dict(sorted(tools.items())),
        images={},
        nodes=(),
    )


def read_environment(kubectl: Kubectl, inventory: Inventory, tools: Mapping[str, str]) -> Environment:
    """Return this machine, the versions of `tools`, and the cluster's nodes and images as the API server has them."""
    nodes = kubectl.get("nodes")["items"]
    return msgspec.structs.replace(
        read_machine(tools),
        images=_image_digests(kubectl, inventory),
        nodes=tuple(
            f"{node['metadata']['name']}: Kubernetes {node['status']['nodeInfo']['kubeletVersion']}, "
            f"{node['status']['nodeInfo']['containerRuntimeVersion']}"
            for node in nodes
        ),
    )
