"""`hms up`, `preview`, `destroy`, `env`: thin calls of pulumi, shown and passed through."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hms.cluster import Cluster
from hms.errors import UsageError
from hms.images import IMAGES, reference
from hms.paths import tools_bin
from hms.stack import PulumiStack, default_environment
from hms.tools import STACK_TOOLS, ensure

Command = Callable[..., Any]


def _say(line: str) -> None:
    click.echo(line, err=True)


def _stack_options(command: Command) -> Command:
    for option in (
        click.option("--stack", default="dev", show_default=True, help="The stack, a file of stacks/."),
        click.option(
            "--config-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="The stack's settings, instead of those of stacks/.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _open(stack: str, config_file: Path | None) -> PulumiStack:
    """Return the stack, its settings read first so that every problem of them is told before any tool is had."""
    found = PulumiStack(stack, config_file=config_file)
    found.spec()
    toolbox = ensure(STACK_TOOLS, progress=_say)
    return PulumiStack(stack, config_file=config_file, environment=toolbox.environment())


def _refuse_without_images(found: PulumiStack) -> None:
    """Raise `UsageError` if the test cluster lacks an image of this checkout: a pod would wait for it for long."""
    found.kubectl()
    spec = found.spec()
    name = spec.cluster.test_cluster
    if spec.cluster.kubeconfig:
        return
    lacking = Cluster(name).lacking([reference(image, registry=spec.registry) for image in IMAGES])
    if lacking:
        raise UsageError(
            f"stack {found.stack}: its test cluster {name!r} lacks the image {', '.join(lacking)} of this checkout",
            remedy=f"Run `hms images --cluster {name}`; whoever changes a file of an image makes another image.",
        )


def _asks(yes: bool) -> bool:
    """Tell whether pulumi asks before it changes anything: on a terminal, unless --yes."""
    return not yes and sys.stdin.isatty() and sys.stdout.isatty()


@click.command()
@_stack_options
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def up(stack: str, config_file: Path | None, yes: bool) -> None:
    """Provision a stack: `pulumi up`. A new stack gets strong secrets first."""
    found = _open(stack, config_file)
    _refuse_without_images(found)
    found.up(_say, terminal=True, ask=_asks(yes))
    click.echo(f"stack {stack}: up")


@click.command()
@_stack_options
@click.option("--expect-no-changes", is_flag=True, help="Exit with 1 if anything would change.")
def preview(stack: str, config_file: Path | None, expect_no_changes: bool) -> None:
    """Show what `up` would change: `pulumi preview`."""
    _open(stack, config_file).preview(_say, expect_no_changes=expect_no_changes, terminal=True)


@click.command()
@_stack_options
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def destroy(stack: str, config_file: Path | None, yes: bool) -> None:
    """Remove a stack: `pulumi destroy`. Its settings and secrets stay."""
    _open(stack, config_file).destroy(_say, terminal=True, ask=_asks(yes))
    click.echo(f"stack {stack}: removed")


@click.command()
def env() -> None:
    """Print the environment in which `pulumi` finds its tools and state: eval "$(hms env)"."""
    made = default_environment(os.environ)
    path = [str(Path(sys.executable).parent), str(tools_bin()), *os.environ.get("PATH", "").split(os.pathsep)]
    made["PATH"] = os.pathsep.join(dict.fromkeys(part for part in path if part))
    for name, value in sorted(made.items()):
        click.echo(f"export {name}={shlex.quote(value)}")
