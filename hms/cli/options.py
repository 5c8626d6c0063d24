"""Which cluster a command speaks to: always said by the user, never taken from `KUBECONFIG`."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hms.errors import UsageError
from hms.kubectl import Kubectl, explicit_kubectl
from hms.paths import cluster_context, cluster_kubeconfig, tools_bin

Command = Callable[..., Any]


def kubectl_binary() -> str:
    """Return the kubectl that `hms tools` chose, or the path's."""
    chosen = tools_bin() / "kubectl"
    return str(chosen) if chosen.exists() else "kubectl"


def resolve_cluster(kubeconfig: Path | None, context: str | None, cluster: str) -> Kubectl:
    """Return the cluster that the options name: a kubeconfig with its context, else the test cluster `cluster`.

    `UsageError` if only one of the two is given, or the test cluster is not up.
    """
    if (kubeconfig is None) != (context is None):
        missing, given = ("--context", "--kubeconfig") if context is None else ("--kubeconfig", "--context")
        raise UsageError(f"{given} without {missing}", remedy="Give both, or neither for the test cluster.")
    if kubeconfig is not None and context is not None:
        return explicit_kubectl(kubeconfig, context, binary=kubectl_binary())
    path = cluster_kubeconfig(cluster)
    if not path.exists():
        raise UsageError(
            f"test cluster {cluster!r}: not up",
            remedy="Run `hms cluster up`, or name another cluster with --kubeconfig and --context.",
        )
    return Kubectl(path, cluster_context(cluster), kubectl_binary())


def cluster_options(command: Command) -> Command:
    """Add --kubeconfig, --context and --cluster; the command gets the keyword `kubectl`."""

    @click.option("--kubeconfig", type=click.Path(path_type=Path), help="Use this cluster's kubeconfig.")
    @click.option("--context", help="The context in --kubeconfig.")
    @click.option("--cluster", default="default", show_default=True, help="The test cluster to use instead.")
    @wraps(command)
    def wrapper(*args: Any, kubeconfig: Path | None, context: str | None, cluster: str, **kwargs: Any) -> Any:
        return command(*args, kubectl=resolve_cluster(kubeconfig, context, cluster), **kwargs)

    return wrapper
