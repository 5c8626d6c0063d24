"""`hms drill`: break a stack that may be broken, and keep what happened."""

import textwrap
from pathlib import Path

import click
import msgspec

from drills.catalogue import DRILLS, FAULTS, find, total_seconds
from drills.chance import MOST_FAULTS, draw
from drills.control import run_control
from drills.control_postgres import Kind, check_control, run_postgres_control
from drills.faults.fault import NEEDS, Fault
from drills.run import check_request, check_trials, run_faults
from hms.cli.target import RunningTarget, say, target_options
from hms.errors import UsageError

WIDTH = 120
POSTGRES_CONTROLS: dict[str, Kind] = {"postgres": "asynchronous", "careless": "careless"}


@click.group()
def drill() -> None:
    """Break the stack and record what was lost and for how long."""


@drill.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the drills as JSON, with how each is undone and proved.")
def list_drills(as_json: bool) -> None:
    """Show what each drill does, what it needs beyond the Kubernetes API, and about how long a trial takes."""
    if as_json:
        click.echo(msgspec.json.encode([_row(fault) for fault in DRILLS.values()]).decode())
        return
    name_width = max(len(name) for name in DRILLS)
    needs_width = max(len(", ".join(fault.needs)) for fault in FAULTS)
    indent = " " * (name_width + needs_width + 11)
    click.echo(f"{'drill':{name_width}}  {'needs':{needs_width}}  {'about':>5}  does")
    for fault in DRILLS.values():
        first, *more = textwrap.wrap(fault.does, WIDTH - len(indent))
        needs = ", ".join(fault.needs)
        click.echo(f"{fault.name:{name_width}}  {needs:{needs_width}}  {fault.seconds:3.0f} s  {first}")
        for line in more:
            click.echo(f"{indent}{line}")
    click.echo(
        f"\n{len(FAULTS)} drills, about {total_seconds(FAULTS) / 60:.0f} min for a trial of each. "
        "Sweeps and soaks run where they are named."
    )
    for need, words in NEEDS.items():
        click.echo(f"Needs {need}: {words}.")


def _row(fault: Fault) -> dict[str, object]:
    return {
        "name": fault.name,
        "does": fault.does,
        "undone": fault.undone,
        "proved_by": fault.proved_by,
        "stays_true": fault.stays_true,
        "needs": fault.needs,
        "seconds": fault.seconds,
    }


def _chosen(context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the drills that are meant, before the stack is asked for; with --seed none is all."""
    if context.params.pop("every") or (context.params.get("seed") is not None and not names):
        return tuple(fault.name for fault in FAULTS)
    if not names:
        raise UsageError("no drill named", remedy=f"Name some of {', '.join(DRILLS)}, or give --all.")
    find(names)
    return names


def _counted(_context: click.Context, _parameter: click.Parameter, trials: int) -> int:
    check_trials(trials)
    return trials


@drill.command()
@click.option(
    "--all", "every", is_flag=True, is_eager=True, help="Run every drill of `hms drill list` but sweep and soak."
)
@click.option(
    "--seed", type=int, is_eager=True, help="Draw a random schedule of NAMES (of all, if none), two at a time."
)
@click.option("--length", default=10, show_default=True, help="With --seed: how many times something is broken.")
@click.argument("names", nargs=-1, callback=_chosen)
@click.option(
    "--trials",
    default=3,
    show_default=True,
    callback=_counted,
    help="How often each drill is run; with --seed, the schedule.",
)
@target_options
def run(
    names: tuple[str, ...], *, seed: int | None, length: int, trials: int, target: RunningTarget, out: Path | None
) -> None:
    """Run the drills NAMES, in turns, and keep the evidence.

    The cluster is the one that the stack's config names. With --inventory pulumi is not asked, and the cluster is named
    here.
    """
    if not 1 <= length <= MOST_FAULTS:
        raise UsageError(f"--length {length}: must be from 1 to {MOST_FAULTS}")
    faults = check_request(names, trials=trials, inventory=target.inventory)
    drawn = draw(seed, length, faults) if seed is not None else faults
    say(f"{len(drawn) * trials} trials, about {total_seconds(drawn) * trials / 60:.0f} min on a quiet machine")
    evidence = target.begin("drill", out, seed=seed)
    run_faults(drawn * trials, inventory=target.inventory, kubectl=target.kubectl, evidence=evidence, progress=say)
    click.echo(evidence.path)
    say(f"now: hms judge {evidence.path}")


@drill.command()
@click.argument("kind", type=click.Choice(("redis", "postgres", "careless")), default="redis")
@click.option("--trials", default=1, show_default=True, callback=_counted, help="How often; Redis once.")
@target_options
def control(kind: str, *, trials: int, target: RunningTarget, out: Path | None) -> None:
    """Lose writes on purpose, and see that the reckoning notices.

    redis: one of its own, beside the stack, acknowledges what it will lose. postgres: the stack's does, for the drill's
    role alone, while its primary is cut off. careless: a frozen primary's key is freed by one who asks nobody. All meet
    the same writer, ledger and reckoning as every drill.
    """
    check_request((), trials=trials, inventory=target.inventory)
    if kind == "redis" and trials != 1:
        raise UsageError(f"--trials {trials}: the control of Redis runs once")
    of_postgres = POSTGRES_CONTROLS.get(kind)
    if of_postgres:
        check_control(of_postgres, target.kubectl)
    evidence = target.begin("drill", out)
    if of_postgres:
        run_postgres_control(
            of_postgres, trials=trials, inventory=target.inventory, kubectl=target.kubectl, evidence=evidence,
            progress=say,
        )  # fmt: skip
    else:
        run_control(inventory=target.inventory, kubectl=target.kubectl, evidence=evidence, progress=say)
    click.echo(evidence.path)
    say(f"now: hms judge {evidence.path}")
