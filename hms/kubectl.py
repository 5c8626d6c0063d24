"""The one way to speak to a cluster: kubectl with an explicit kubeconfig and context, never the environment's."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from hms.errors import ClusterError, KubectlError, UsageError

REACH_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A cluster as one user reaches it, and the binary that does so.

    Every call has a timeout in seconds of its own; a call that fails or takes longer raises `KubectlError` with what
    kubectl said.
    """

    kubeconfig: Path
    context: str
    binary: str = "kubectl"
    namespace: str = "default"

    def within(self, namespace: str) -> "Kubectl":
        """Return the same cluster with another default namespace."""
        return Kubectl(self.kubeconfig, self.context, self.binary, namespace)

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command line, for callers that run it themselves."""
        return [
            self.binary, "--kubeconfig", str(self.kubeconfig), "--context", self.context,
            "--namespace", self.namespace, *arguments,
        ]  # fmt: skip

    def testinfra_host(self, pod: str, container: str) -> str:
        """Return testinfra's host spec for a container; kubectl must be on the path."""
        return (
            f"kubectl://{pod}?namespace={self.namespace}&container={container}"
            f"&kubeconfig={self.kubeconfig}&context={self.context}"
        )

    def run(self, *arguments: str, stdin: str | None = None, timeout_seconds: float = 30.0) -> str:
        """Run kubectl and return what it printed."""
        shown = " ".join(arguments[:4])
        try:
            done = subprocess.run(
                self.command(*arguments),
                input=stdin, text=True, capture_output=True, timeout=timeout_seconds, check=False,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise KubectlError(f"{self.binary}: not found", remedy="Run `hms tools` first.") from error
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"kubectl {shown}: no answer within {timeout_seconds:g} s") from error
        if done.returncode != 0:
            reason = done.stderr.strip()
            raise KubectlError(f"kubectl {shown}: {reason or f'exit code {done.returncode}'}", stderr=reason)
        return done.stdout

    def get(self, *arguments: str, timeout_seconds: float = 30.0) -> dict[str, Any]:
        """Return `kubectl get ... -o json`, decoded."""
        text = self.run("get", *arguments, "-o", "json", timeout_seconds=timeout_seconds)
        return cast(dict[str, Any], json.loads(text))

    def reach(self, for_whom: str) -> None:
        """Ask whether the cluster is ready; `ClusterError` in the words of `for_whom` where nobody answers."""
        try:
            self.run("get", "--raw", "/readyz", timeout_seconds=REACH_SECONDS)
        except KubectlError as error:
            raise ClusterError(
                f"{for_whom}: the cluster of context {self.context} in {self.kubeconfig} does not answer: "
                f"{error.stderr or error.message}",
                remedy="Start it (a test cluster: `hms cluster up`), or correct the kubeconfig and the context.",
            ) from error

    def pods(self, selector: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the pods that bear all labels of `selector`, by name."""
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        items = cast(list[dict[str, Any]], self.get("pods", "-l", labels)["items"])
        return sorted(items, key=lambda pod: str(pod["metadata"]["name"]))

    def exec(
        self, pod: str, container: str, argv: Sequence[str], *, stdin: str | None = None, timeout_seconds: float = 30.0
    ) -> str:
        """Run a program in a container and return what it printed."""
        interactive = ["-i"] if stdin is not None else []
        return self.run(
            "exec", *interactive, pod, "-c", container, "--", *argv, stdin=stdin, timeout_seconds=timeout_seconds
        )


def explicit_kubectl(kubeconfig: Path, context: str, *, binary: str = "kubectl") -> Kubectl:
    """Return a Kubectl for a kubeconfig and context that the user named; nothing is run.

    `UsageError` if the file is not there, is no kubeconfig, or has no such context.
    """
    if not kubeconfig.is_file():
        raise UsageError(f"kubeconfig {kubeconfig}: no such file", remedy="Name the file of the cluster to use.")
    try:
        contexts = [str(entry["name"]) for entry in yaml.safe_load(kubeconfig.read_text())["contexts"]]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise UsageError(
            f"kubeconfig {kubeconfig}: not a kubeconfig with contexts ({type(error).__name__})",
            remedy="`kubectl config get-contexts --kubeconfig FILE` shows what one has.",
        ) from error
    if context not in contexts:
        raise UsageError(
            f"context {context!r}: not in {kubeconfig}, which has {', '.join(sorted(contexts)) or 'none'}",
            remedy="Name one of these.",
        )
    return Kubectl(kubeconfig, context, binary)
