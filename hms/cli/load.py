"""`hms load`: see whether the stack carries the load."""

import sys
from functools import partial
from pathlib import Path

import click
import msgspec

from hms.catalogue import default_catalogue_directory, load_catalogue
from hms.cli.target import RunningTarget, say, target_options
from hms.environment import read_machine
from hms.errors import BreachError, UsageError
from hms.evidence import Objective
from hms.evidence_begin import begin_evidence
from hms.evidence_directory import EvidenceDirectory
from hms.judgement import judge_directory, judgement_of
from hms.load_compare import compare_runs, comparison_lines
from hms.report.compare import differences
from hms.report.model import Report
from hms.report.page import read_report
from hms.report.table import verdict_table
from loadtests.alone import run_alone
from loadtests.capacity_run import capacity_line, run_search
from loadtests.keep import Drive
from loadtests.plan import LoadPlan, make_plan
from loadtests.profile import claims_about, profile_plans
from loadtests.run import run_plan
from loadtests.target import loopback_target, stack_target

PROBE_FAILED_PERCENT = 0.1


@click.command()
@target_options
@click.option("--alone", metavar="URL", help="Load a service that you started on this machine, instead of a stack.")
@click.option("--profile", help="Run a profile (loadtests/profiles.toml), as ci, and hold the claims against it.")
@click.option("--find-capacity", is_flag=True, help="Search for the highest rate that holds, from --rate on.")
@click.option("--p99", "p99_ms", type=float, default=250.0, show_default=True, help="In ms: what holds, in a search.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Compare with this earlier run's evidence.")
@click.option("--scenario", default="first", show_default=True, help="Who asks for what (scenarios.toml).")
@click.option("--rate", default="100", show_default=True, help="Arrivals a second, over all workers.")
@click.option("--duration", default="30s", show_default=True, help="How long, with its unit: 30s, 5m, 1h.")
@click.option("--shape", default="", help="Multiples of the rate, not a duration: 1:60s, 10:5s, 1:60s.")
@click.option("--rounds", type=click.IntRange(1, 100), default=1, help="How often.  [default: 1]")
@click.option("--arrivals", default="poisson", show_default=True, help="How they are spaced: poisson or constant.")
@click.option("--workers", default="1", show_default=True, help="Locust workers, a pod each.")
@click.option("--seed", default="1", show_default=True, help="Seed of the schedule and of every choice.")
@click.option("--target-url", help="The app's address, one of this stack's own.  [default: from the Inventory]")
@click.option("--json", "as_json", is_flag=True, help="Print the runs' records as JSON, one a line.")
def load(
    *, target: RunningTarget | None, out: Path | None, alone: str | None, profile: str | None, find_capacity: bool,
    p99_ms: float, baseline: Path | None, scenario: str, rate: str, duration: str, rounds: int, shape: str,
    arrivals: str, workers: str, seed: str, target_url: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Send requests at a rate that no slow answer holds back, and record throughput and latency.

    Response times count from when a request should have been sent; what could not be sent is counted as dropped.
    Exit code 1 if a profile breaks a claim, or if something is slower than in the baseline.
    """
    if profile is not None and find_capacity:
        raise UsageError("--profile with --find-capacity: a profile has its own rates; give one of them")
    if not p99_ms > 0:
        raise UsageError(f"--p99 {p99_ms:g}: must be above 0 ms")
    app = loopback_target(alone) if alone is not None else stack_target(_given(target).inventory)
    if profile is not None:
        plans = profile_plans(app, profile, workers=workers, seed=seed)
    else:
        plan = make_plan(
            app, scenario=scenario, rate_per_second=rate, duration=duration, workers=workers, seed=seed,
            target=target_url, shape=shape, arrivals=arrivals,
        )  # fmt: skip
        plans = tuple(msgspec.structs.replace(plan, seed=plan.seed + number) for number in range(rounds))
    before = read_report(EvidenceDirectory(baseline)) if baseline is not None else None
    evidence, drive = _begin(target, out, plans[0])
    if find_capacity:
        objective = Objective(p99_ms=p99_ms, failed_percent=PROBE_FAILED_PERCENT)
        click.echo(capacity_line(run_search(plans[0], objective, drive, say)), err=as_json)
    else:
        for one in plans:
            record = drive(one)
            if as_json:
                click.echo(msgspec.json.encode(record).decode())
    if not as_json:
        click.echo(evidence.path)
    breaches = _broken_claims(evidence, as_json=as_json) if profile is not None else []
    if before is not None:
        breaches += _slower(before, read_report(evidence))
    if breaches:
        raise BreachError("; ".join(breaches))
    if profile is None:
        say(f"now: hms judge {evidence.path}")


def _given(target: RunningTarget | None) -> RunningTarget:
    if target is None:
        raise UsageError("neither a stack nor --alone was given")
    return target


def _begin(target: RunningTarget | None, out: Path | None, plan: LoadPlan) -> tuple[EvidenceDirectory, Drive]:
    """Return the new evidence, and what runs a plan and keeps its record there."""
    if target is None:
        evidence = begin_evidence("load", "alone", out=out, seed=plan.seed)
        evidence.write("environment.json", read_machine({}))
        return evidence, partial(run_alone, evidence=evidence, progress=say)
    evidence = target.begin("load", out, seed=plan.seed)
    return evidence, partial(
        run_plan, inventory=target.inventory, kubectl=target.kubectl, evidence=evidence, progress=say
    )


def _broken_claims(evidence: EvidenceDirectory, *, as_json: bool) -> list[str]:
    """Hold the claims against what was run, keep and show the verdicts, and return the broken claims in words."""
    everything = load_catalogue(default_catalogue_directory())
    chosen = claims_about(everything, judgement_of(evidence, catalogue=everything).observations)
    verdicts = judge_directory(evidence, catalogue=chosen)
    click.echo(verdict_table(chosen.claims, verdicts, colour=sys.stdout.isatty()), err=as_json)
    return [f"claim {verdict.claim} FAILED: {verdict.reason}" for verdict in verdicts if verdict.outcome == "FAILED"]


def _slower(before: Report, after: Report) -> list[str]:
    """Show how the runs compare with the baseline's, and return what is slower, in words."""
    found = compare_runs((load for _, load in before.loads), (load for _, load in after.loads))
    if not found:
        raise UsageError(
            "--baseline: nothing can be compared: no run of the same load, or the generator was the limit of all"
        )
    for line in (*differences(before, after), *comparison_lines(found)):
        say(line)
    return [
        f"{one.load}: {one.operation} {one.quantile} is {one.ratio - 1:.0%} slower than in the baseline"
        for one in found
        if one.answer == "slower"
    ]
