"""`hms cluster`: the test cluster."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from hms.cluster import Cluster, ClusterStatus
from hms.errors import ClusterError

Command = Callable[..., Any]

name_option = click.option("--name", default="default", show_default=True, help="Which test cluster.")


def say(line: str) -> None:
    """Print a line of progress, apart from a command's output."""
    click.echo(line, err=True)


@click.group()
def cluster() -> None:
    """Make, ask, break and remove the test cluster: a real three-node Kubernetes on this machine."""


@cluster.command()
@name_option
@click.option("--nodes", default=3, show_default=True, help="How many nodes.")
def up(name: str, nodes: int) -> None:
    """Make the cluster, or repair it; what runs is left alone."""
    made = Cluster(name)
    made.up(nodes=nodes, progress=say)
    click.echo(made.layout.kubeconfig)


@cluster.command()
@name_option
def down(name: str) -> None:
    """Remove the cluster with its volumes, and whatever a crash left of it."""
    existed = Cluster(name).down(progress=say)
    say(f"cluster {name!r}: {'removed' if existed else 'there was nothing'}")


@cluster.command()
@name_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(name: str, as_json: bool) -> None:
    """Tell what runs and what does not; exit code 1 if anything is down."""
    found = Cluster(name).status()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode({"up": found.is_up, **msgspec.structs.asdict(found)})))
    else:
        click.echo(render(found))
    sys.exit(0 if found.is_up else 1)


def render(found: ClusterStatus) -> str:
    """Return the status as a table."""
    rows = [("machine", "part", "state", "pid", "log")]
    for part in found.parts:
        state = "running" if part.pid is not None else "DOWN"
        rows.append((part.machine, part.name, state, str(part.pid or "-"), str(part.log)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    lines.append("")
    if not found.ready:
        lines.append(f"{found.api}: NO ANSWER")
    lines += [f"{node}: {fault.upper()}" for node, fault in sorted(found.faults.items())]
    lines += [f"{node}: {'Ready' if ready else 'NOT READY'}" for node, ready in sorted(found.ready.items())]
    lines += [f"{name}: {'ready' if ready else 'NOT READY'}" for name, ready in sorted(found.pods.items())]
    return "\n".join(lines)


@cluster.command()
@name_option
def kubeconfig(name: str) -> None:
    """Print the path of the cluster's kubeconfig."""
    found = Cluster(name)
    found.state()
    if not found.layout.kubeconfig.exists():
        raise ClusterError(f"cluster {name!r}: not up", remedy=f"Run `hms cluster up --name {name}`.")
    click.echo(found.layout.kubeconfig)


@cluster.command(context_settings={"ignore_unknown_options": True})
@name_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(name: str, command: tuple[str, ...]) -> None:
    """Run a program inside the cluster's network, where pods and nodes have addresses: `hms cluster run -- CMD`."""
    sys.exit(Cluster(name).run(command))


@cluster.command()
@name_option
@click.argument("archives", nargs=-1, required=True, type=click.Path(path_type=Path))
def load(name: str, archives: tuple[Path, ...]) -> None:
    """Load image archives into every node, except those that a node has."""
    Cluster(name).load_images(archives, say)


@cluster.group()
def node() -> None:
    """Break a node, and mend it."""


def node_command(function: Command) -> Command:
    """Register a command on one node."""
    return node.command()(name_option(click.argument("number", type=int)(function)))


@node_command
def stop(name: str, number: int) -> None:
    """Lose its power."""
    Cluster(name).node(number).stop()


@node_command
def start(name: str, number: int) -> None:
    """Give it power again."""
    Cluster(name).node(number).start()


@node_command
def freeze(name: str, number: int) -> None:
    """Hang all of its processes."""
    Cluster(name).node(number).freeze()


@node_command
def thaw(name: str, number: int) -> None:
    """Let them go on."""
    Cluster(name).node(number).thaw()


@node.command()
@name_option
@click.option("--from", "others", type=int, multiple=True, help="Only from this node; may be repeated.")
@click.argument("number", type=int)
def isolate(name: str, number: int, others: tuple[int, ...]) -> None:
    """Pull its cable, or cut it off from some nodes."""
    found = Cluster(name).node(number)
    if not others:
        found.isolate()
    for other in others:
        found.isolate_from(other)


@node_command
def heal(name: str, number: int) -> None:
    """Plug its cable in and lift its partitions."""
    Cluster(name).node(number).heal()
