"""`hms smoke`: see whether the running stack is what it declares."""

from pathlib import Path

import click
import msgspec

from hms.cli.target import RunningTarget, say, target_options
from hms.errors import StackError
from hms.evidence import Check
from smoke.run import CHECKS, run_smoke


@click.command()
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print every check as JSON.")
def smoke(*, target: RunningTarget, out: Path | None, as_json: bool) -> None:
    """Check that the running stack is what it declares, by what kernel, servers and API say.

    Exit code 1 if anything disagrees; every check, declared beside observed, is in the evidence.
    """
    evidence = target.begin("smoke", out)
    agrees = run_smoke(target.inventory, target.kubectl, evidence, say)
    if as_json:
        lines = (evidence.path / CHECKS).read_bytes().splitlines()
        checks = [msgspec.json.decode(line, type=Check) for line in lines]
        click.echo(msgspec.json.format(msgspec.json.encode(checks)).decode())
    else:
        click.echo(evidence.path)
    if not agrees:
        raise StackError(
            f"stack {target.inventory.stack}: not what it declares",
            remedy=f"The checks are in {evidence.path / CHECKS}.",
        )
