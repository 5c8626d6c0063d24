"""Which running stack is measured, and where the evidence goes: options that `smoke`, `load` and `drill` share."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import click

from hms.cli.options import resolve_cluster
from hms.environment import read_environment
from hms.errors import UsageError
from hms.evidence_begin import begin_evidence
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory, decode_inventory
from hms.kubectl import Kubectl
from hms.stack import PulumiStack
from hms.tools import STACK_TOOLS, ensure

Command = Callable[..., Any]


def say(line: str) -> None:
    """Print a line of progress, apart from a command's output."""
    click.echo(line, err=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTarget:
    """A running stack: its Inventory, how to reach it, and the versions of the tools that were used for that."""

    inventory: Inventory
    kubectl: Kubectl
    tool_versions: dict[str, str]

    def begin(
        self, kind: Literal["smoke", "load", "drill"], out: Path | None, *, seed: int | None = None
    ) -> EvidenceDirectory:
        """Make the directory of a run's evidence, with what was run, where, and on what in it.

        `UsageError` if `out` has anything in it.
        """
        evidence = begin_evidence(kind, self.inventory.stack, out=out, seed=seed)
        evidence.write("inventory.json", self.inventory)
        evidence.write("environment.json", read_environment(self.kubectl, self.inventory, self.tool_versions))
        return evidence


def target_options(command: Command) -> Command:
    """Add the options that name a running stack and the evidence's place; the command gets `target` and `out`."""

    @click.option("--stack", default="ci", show_default=True, help="The stack; pulumi and its config say the rest.")
    @click.option("--inventory", type=click.Path(path_type=Path), help="The Inventory, instead of pulumi's output.")
    @click.option("--kubeconfig", type=click.Path(path_type=Path), help="With --inventory: the cluster's kubeconfig.")
    @click.option("--context", help="With --inventory: the context in --kubeconfig.")
    @click.option("--cluster", help="With --inventory: the test cluster to use instead.")
    @click.option(
        "--out", type=click.Path(path_type=Path), help="The evidence's directory.  [default: evidence/<time>]"
    )
    @wraps(command)
    def wrapper(
        *args: Any,
        stack: str,
        inventory: Path | None,
        kubeconfig: Path | None,
        context: str | None,
        cluster: str | None,
        **rest: Any,
    ) -> Any:
        if rest.get("alone") is not None:  # a service outside any stack: only `hms load` knows such
            return command(*args, target=None, **rest)
        return command(*args, target=_find(stack, inventory, kubeconfig, context, cluster), **rest)

    return wrapper


def _find(
    stack: str, inventory: Path | None, kubeconfig: Path | None, context: str | None, cluster: str | None
) -> RunningTarget:
    if inventory is not None:
        try:
            found = decode_inventory(inventory.read_bytes(), source=str(inventory))
        except OSError as error:
            raise UsageError(f"--inventory {inventory}: {error.strerror}") from error
        kubectl = resolve_cluster(kubeconfig, context, cluster or "default")
        return RunningTarget(inventory=found, kubectl=kubectl, tool_versions={})
    if kubeconfig or context or cluster:
        raise UsageError("--kubeconfig, --context, --cluster: only with --inventory", remedy="The stack names its own.")
    toolbox = ensure(STACK_TOOLS, progress=say)
    made = PulumiStack(stack, environment=toolbox.environment())
    return RunningTarget(inventory=made.output(), kubectl=made.kubectl(), tool_versions=toolbox.versions())
