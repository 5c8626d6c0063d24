"""`hms drill`: break a stack that may be broken, and keep what happened."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from drills.catalogue import DRILLS
from drills.run import check_request, run_drills
from hms import __version__
from hms.cli.options import resolve_cluster
from hms.environment import read_environment
from hms.errors import UsageError
from hms.evidence import Run
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory, decode_inventory
from hms.paths import project_root
from hms.stack import PulumiStack
from hms.tools import STACK_TOOLS, ensure


def say(line: str) -> None:
    """Print a line of progress, apart from a command's output."""
    click.echo(line, err=True)


@click.group()
def drill() -> None:
    """Break the stack and record what was lost and for how long."""


@drill.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the drills as JSON.")
def list_drills(as_json: bool) -> None:
    """Show what each drill does, how it heals, what must stay true, and about how long a trial takes."""
    rows = [
        {
            "name": fault.name,
            "does": fault.does,
            "undone": fault.undone,
            "proved_by": fault.proved_by,
            "stays_true": fault.stays_true,
            "seconds": fault.seconds,
        }
        for fault in DRILLS.values()
    ]
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    for fault in DRILLS.values():
        click.echo(f"{fault.name}   about {fault.seconds:.0f} s a trial")
        click.echo(f"  does         {fault.does}")
        click.echo(f"  undone       {fault.undone}")
        click.echo(f"  proved by    {fault.proved_by}")
        click.echo(f"  stays true   {fault.stays_true}")


@drill.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Run every drill of `hms drill list`.")
@click.option("--trials", default=3, show_default=True, help="How often each drill is run.")
@click.option("--stack", default="ci", show_default=True, help="The stack to break; its config must allow drills.")
@click.option("--out", type=click.Path(path_type=Path), help="The evidence's directory.  [default: evidence/<time>]")
@click.option("--inventory", type=click.Path(path_type=Path), help="The stack's Inventory, instead of pulumi's output.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="With --inventory: the cluster's kubeconfig.")
@click.option("--context", help="With --inventory: the context in --kubeconfig.")
@click.option("--cluster", help="With --inventory: the test cluster to use instead.")
def run(
    *,
    names: tuple[str, ...],
    every: bool,
    trials: int,
    stack: str,
    out: Path | None,
    inventory: Path | None,
    kubeconfig: Path | None,
    context: str | None,
    cluster: str | None,
) -> None:
    """Run the drills NAMES, in turns, and keep the evidence.

    The cluster is the one that the stack's config names. With --inventory pulumi is not asked, and the cluster is named
    here.
    """
    chosen = tuple(DRILLS) if every else names
    if not chosen:
        raise UsageError("no drill named", remedy=f"Name some of {', '.join(DRILLS)}, or give --all.")
    if inventory is None and (kubeconfig or context or cluster):
        raise UsageError("--kubeconfig, --context, --cluster: only with --inventory", remedy="The stack names its own.")
    if inventory is not None:
        found, kubectl = _read(inventory), resolve_cluster(kubeconfig, context, cluster or "default")
        versions: dict[str, str] = {}
    else:
        toolbox = ensure(STACK_TOOLS, progress=say)
        made = PulumiStack(stack, environment=toolbox.environment())
        found, kubectl, versions = made.output(), made.kubectl(), toolbox.versions()
    check_request(chosen, trials=trials, inventory=found)
    evidence = _begin(out, found)
    evidence.write("environment.json", read_environment(kubectl, found, versions))
    run_drills(chosen, trials=trials, inventory=found, kubectl=kubectl, evidence=evidence, progress=say)
    click.echo(evidence.path)
    say(f"now: hms judge {evidence.path}")


def _read(path: Path) -> Inventory:
    try:
        return decode_inventory(path.read_bytes(), source=str(path))
    except OSError as error:
        raise UsageError(f"--inventory {path}: {error.strerror}") from error


def _begin(out: Path | None, inventory: Inventory) -> EvidenceDirectory:
    """Make the evidence's directory, with the run and the inventory in it."""
    now = datetime.now(UTC)
    path = out or project_root() / "evidence" / now.strftime("%Y%m%dT%H%M%SZ-drill")
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"--out {path}: not empty", remedy="Evidence is append-only: name a new directory.")
    evidence = EvidenceDirectory(path)
    evidence.write(
        "run.json",
        Run(
            id=path.name,
            kind="drill",
            stack=inventory.stack,
            started_at=now.isoformat(timespec="seconds"),
            version=__version__,
            commit=_commit(),
        ),
    )
    evidence.write("inventory.json", inventory)
    return evidence


def _commit() -> str:
    """Return the checkout's commit, marked where files differ from it; `unknown` outside a repository."""
    done = subprocess.run(
        ["git", "-C", str(project_root()), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
