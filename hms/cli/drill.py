"""`hms drill`: break a stack that may be broken, and keep what happened."""

from pathlib import Path

import click
import msgspec

from drills.catalogue import DRILLS
from drills.run import check_request, run_drills
from hms.cli.target import RunningTarget, say, target_options
from hms.errors import UsageError


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


def _chosen(context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the drills that are meant, before the stack is asked for."""
    if context.params.pop("every"):
        return tuple(DRILLS)
    if not names:
        raise UsageError("no drill named", remedy=f"Name some of {', '.join(DRILLS)}, or give --all.")
    return names


@drill.command()
@click.option("--all", "every", is_flag=True, is_eager=True, help="Run every drill of `hms drill list`.")
@click.argument("names", nargs=-1, callback=_chosen)
@click.option("--trials", default=3, show_default=True, help="How often each drill is run.")
@target_options
def run(names: tuple[str, ...], trials: int, target: RunningTarget, out: Path | None) -> None:
    """Run the drills NAMES, in turns, and keep the evidence.

    The cluster is the one that the stack's config names. With --inventory pulumi is not asked, and the cluster is named
    here.
    """
    check_request(names, trials=trials, inventory=target.inventory)
    evidence = target.begin("drill", out)
    run_drills(
        names, trials=trials, inventory=target.inventory, kubectl=target.kubectl, evidence=evidence, progress=say
    )
    click.echo(evidence.path)
    say(f"now: hms judge {evidence.path}")
