"""A stack's life on a test cluster that is up: the steps that a test takes it through, and what it looks at."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hms.kubectl import Kubectl
from hms.stack import PulumiStack
from hms.stack.home import ensure_passphrase
from hms.stack.lock import Holder, lock_holders

STACK = "ci"


@dataclass(slots=True)
class StackLife:
    """A stack of its own namespace, settings and state, in a folder that is thrown away.

    It shares nothing with the stacks of the checkout but the program and the images. `first_pods` are those of each
    workload before anything was changed.
    """

    folder: Path
    cluster: str
    namespace: str
    lines: list[str] = field(default_factory=list)
    first_pods: dict[str, set[str]] = field(default_factory=dict)

    def prepare(self, settings: Path) -> None:
        """Write the settings of the stack: those of `settings`, its cluster and namespace, nothing to spare."""
        content = yaml.safe_load(settings.read_text())
        content["config"] |= {"hms:testCluster": self.cluster, "hms:namespace": self.namespace}
        self.config_file.write_text(yaml.safe_dump(content))
        (self.folder / "state").mkdir()
        ensure_passphrase(self.folder / "passphrase")

    @property
    def config_file(self) -> Path:
        return self.folder / f"Pulumi.{STACK}.yaml"

    @property
    def backend_url(self) -> str:
        return f"file://{self.folder / 'state'}"

    @property
    def stack(self) -> PulumiStack:
        """The stack as a new command would open it: nothing is remembered between calls but what is on disk."""
        return PulumiStack(
            STACK,
            config_file=self.config_file,
            backend_url=self.backend_url,
            passphrase_file=self.folder / "passphrase",
        )

    def set(self, **changed: str) -> None:
        """Change settings in the file, as an editor would."""
        content = yaml.safe_load(self.config_file.read_text())
        content["config"] |= {f"hms:{key}": value for key, value in changed.items()}
        self.config_file.write_text(yaml.safe_dump(content))

    def progress(self, line: str) -> None:
        """Keep what a user would see."""
        self.lines.append(line)

    def kill_at(self, mark: str) -> Callable[[str], None]:
        """Return a progress that kills pulumi with SIGKILL when a line bears `mark`."""

        def watch(line: str) -> None:
            self.progress(line)
            if mark in line:
                for holder in self.holders():
                    os.kill(holder.pid, signal.SIGKILL)

        return watch

    def holders(self) -> list[Holder]:
        """Return the pulumi processes that hold this stack's lock."""
        return [holder for holder in lock_holders(self.backend_url, STACK) if holder.alive]


def generations(kubectl: Kubectl) -> dict[str, int]:
    """Return the generation of each workload's declaration: it grows with every change of it."""
    items: list[dict[str, Any]] = kubectl.get("statefulsets,deployments")["items"]
    return {str(item["metadata"]["name"]): int(item["metadata"]["generation"]) for item in items}


def pod_identities(kubectl: Kubectl) -> dict[str, set[str]]:
    """Return the unique ids of the pods of each workload: a rolled workload has others."""
    found: dict[str, set[str]] = {}
    for pod in kubectl.get("pods")["items"]:
        workload = str(pod["metadata"]["labels"]["app.kubernetes.io/name"])
        found.setdefault(workload, set()).add(str(pod["metadata"]["uid"]))
    return found
