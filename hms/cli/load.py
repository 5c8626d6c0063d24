"""`hms load`: see whether the stack carries the load."""

from pathlib import Path

import click
import msgspec

from hms.cli.target import RunningTarget, say, target_options
from loadtests.plan import make_plan
from loadtests.run import run_plan


@click.command()
@target_options
@click.option("--scenario", default="first", show_default=True, help="Who asks for what; see loadtests/scenarios.toml.")
@click.option("--rate", default="100", show_default=True, help="Arrivals a second, over all workers.")
@click.option("--duration", default="30s", show_default=True, help="How long, with its unit: 30s, 5m, 1h.")
@click.option("--shape", default="", help="Multiples of the rate, not a duration: 1:60s, 10:5s, 1:60s.")
@click.option("--arrivals", default="poisson", show_default=True, help="How they are spaced: poisson or constant.")
@click.option("--workers", default="1", show_default=True, help="Locust workers, a pod each.")
@click.option("--seed", default="1", show_default=True, help="Seed of the schedule and of every choice.")
@click.option("--target-url", help="The app's address, one of this stack's own.  [default: from the Inventory]")
@click.option("--json", "as_json", is_flag=True, help="Print the run's record as JSON.")
def load(
    *,
    target: RunningTarget,
    out: Path | None,
    scenario: str,
    rate: str,
    duration: str,
    shape: str,
    arrivals: str,
    workers: str,
    seed: str,
    target_url: str | None,
    as_json: bool,
) -> None:
    """Send requests at a rate that no slow answer holds back, and record throughput and latency.

    Response times count from when a request should have been sent; what could not be sent is counted as dropped.
    """
    plan = make_plan(
        target.inventory,
        scenario=scenario, rate_per_second=rate, duration=duration, workers=workers, seed=seed, target=target_url,
        shape=shape, arrivals=arrivals,
    )  # fmt: skip
    evidence = target.begin("load", out, seed=plan.seed)
    record = run_plan(plan, target.inventory, target.kubectl, evidence, say)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(record)).decode())
    else:
        click.echo(evidence.path)
        say(f"now: hms judge {evidence.path}")
