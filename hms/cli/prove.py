"""`hms prove`: all of it, and the table at the end."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from hms.errors import BreachError
from hms.progress import clock_text
from hms.prove import PROVED_RATE_PER_SECOND, ProvePlan
from hms.prove import prove as run_prove
from hms.report.table import verdict_table


@click.command()
@click.option("--stack", default="ci", show_default=True, help="The stack to prove; its config must allow drills.")
@click.option("--cluster", default="prove", show_default=True, help="The test cluster; made if it is not there.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Use this cluster instead; needs --context.")
@click.option("--context", help="The context in --kubeconfig.")
@click.option("--keep", is_flag=True, help="Leave the stack and the cluster as they are at the end.")
@click.option(
    "--out", "evidence", type=click.Path(path_type=Path), help="Directory of the evidence  [default: evidence/<time>]"
)
@click.option(
    "--rate",
    "rate_per_second",
    default=PROVED_RATE_PER_SECOND,
    show_default=True,
    help="Arrivals a second in the load step.",
)
@click.option("--load-seconds", default=30.0, show_default=True, help="How long the load step lasts.")
@click.option("--trials", default=3, show_default=True, help="How often each drill is run.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON on standard output.")
def prove(as_json: bool, **choices: Any) -> None:
    """Provision the stack, check it, load it, break it, and judge what it claims.

    Without --kubeconfig it makes a real three-node Kubernetes on this machine (needs root) and removes it at the end.
    Run again after an interruption, it goes on from what is there.
    """
    proof = run_prove(ProvePlan(**choices))
    if as_json:
        click.echo(json.dumps(proof.as_data(), indent=1))
    else:
        click.echo(verdict_table(proof.catalogue.claims, proof.verdicts, colour=sys.stdout.isatty()))
        click.echo(f"\nreport    {proof.report}\nevidence  {proof.evidence}\ntook      {clock_text(proof.seconds)}")
    if not proof.failed and not proof.counts:
        raise BreachError("writes were made to be lost on purpose, and nothing shows that it was noticed: see control")
    if proof.failed:
        raise BreachError(f"{len(proof.failed)} of {len(proof.verdicts)} claims FAILED: {', '.join(proof.failed)}")
