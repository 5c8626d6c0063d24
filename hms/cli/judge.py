"""`hms judge` and `hms verify`."""

import sys
from pathlib import Path

import click
import msgspec

from hms.catalogue import load_catalogue
from hms.errors import BreachError, UsageError
from hms.evidence_directory import EvidenceDirectory, encode_record
from hms.judgement import judgement_of, keep_judgement
from hms.report.table import verdict_table
from hms.verdict import Verdicts
from hms.verify import verify as verify_evidence

DIRECTORY = click.argument("directory", type=click.Path(path_type=Path))


@click.command()
@DIRECTORY
@click.option("--claims", type=click.Path(path_type=Path), help="Judge by this directory of claims, and keep nothing.")
@click.option("--seal", is_flag=True, help="Close the evidence afterwards, so that it can be verified.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON, the bytes of verdicts.json.")
def judge(*, directory: Path, claims: Path | None, seal: bool, as_json: bool) -> None:
    """Hold the claims against the evidence in DIRECTORY and print the verdicts.

    The evidence's own claims.json is used, or else the checkout's catalogue. The verdicts are kept in the evidence
    unless it is sealed; judged again, they must be the same bytes. Exit code 1 if a claim FAILED.
    """
    if claims and seal:
        raise UsageError("--seal with --claims: these verdicts are not kept, so there is nothing to seal")
    evidence = EvidenceDirectory(directory)
    judgement = judgement_of(evidence, catalogue=load_catalogue(claims) if claims else None)
    if as_json:
        click.echo(encode_record(Verdicts(verdicts=judgement.verdicts)), nl=False)
    else:
        click.echo(verdict_table(judgement.catalogue.claims, judgement.verdicts, colour=sys.stdout.isatty()))
    for name in judgement.damaged:
        click.echo(f"damaged: {directory / name} is not what the manifest says", err=True)
    if not claims:
        keep_judgement(evidence, judgement)
    if seal and not evidence.sealed:
        evidence.seal()
    failed = [verdict.claim for verdict in judgement.verdicts if verdict.outcome == "FAILED"]
    if failed:
        raise BreachError(f"{len(failed)} of {len(judgement.verdicts)} claims FAILED: {', '.join(failed)}")


@click.command()
@DIRECTORY
@click.option("--json", "as_json", is_flag=True, help="Print what was recomputed as JSON.")
def verify(directory: Path, as_json: bool) -> None:
    """Recompute every digest, figure and verdict of the evidence in DIRECTORY.

    The first difference is named and the exit code is 1. It trusts nothing that is recorded but the raw samples.
    """
    found = verify_evidence(EvidenceDirectory(directory))
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(
        f"{directory}: as it was sealed\n"
        f"  {found.files} files have the digests of the manifest\n"
        f"  {found.observations} observations were derived again\n"
        f"  {found.verdicts} verdicts follow from them, byte for byte\n"
        f"  SHA-256 of the manifest: {found.manifest_sha256}"
    )
