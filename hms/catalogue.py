"""Read the catalogue of claims: `claims/*.toml`, each an array of tables `[[claim]]`."""

import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hms.claim import Catalogue, Claim
from hms.errors import InvalidSpecError
from hms.metrics import METRICS
from hms.paths import project_root


def default_catalogue_directory() -> Path:
    """Return the checkout's own catalogue."""
    return project_root() / "claims"


def load_catalogue(directory: Path) -> Catalogue:
    """Return all claims of a directory's TOML files, in order of id.

    `InvalidSpecError` has every problem of every file at once: file, claim, key, value, what is allowed.
    """
    problems: list[str] = []
    claims: dict[str, Claim] = {}
    files = sorted(directory.glob("*.toml"))
    if not files:
        problems.append("no claims: the directory has no *.toml file")
    for file in files:
        for number, table in enumerate(_tables(file, problems), start=1):
            where = f"{file.name}, claim {table.get('id', number)!r}" if isinstance(table, dict) else file.name
            try:
                claim = msgspec.convert(table, type=Claim)
            except msgspec.ValidationError as error:
                problems.append(f"{where}: {error}")
                continue
            problems += [f"{where}: {problem}" for problem in claim_problems(claim)]
            if claim.id in claims:
                problems.append(f"{where}: the id is taken by another claim")
            claims[claim.id] = claim
    if problems:
        raise InvalidSpecError(str(directory), problems)
    return Catalogue(claims=tuple(claims[name] for name in sorted(claims)))


def _tables(file: Path, problems: list[str]) -> list[Any]:
    """Return a file's claims as TOML has them; what is wrong with the file itself goes into `problems`."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{file.name}: not TOML: {error}")
        return []
    tables = content.pop("claim", None)
    problems += [f"{file.name}: unknown key {key!r}; a file holds tables [[claim]]" for key in content]
    if not isinstance(tables, list):
        problems.append(f"{file.name}: no table [[claim]]")
        return []
    return tables


def claim_problems(claim: Claim) -> Iterator[str]:
    """Yield what is wrong with a claim whose types are right."""
    metric = METRICS.get(claim.metric)
    if metric is None:
        yield f"metric {claim.metric!r}: unknown; known are {', '.join(METRICS)}"
    else:
        if claim.faults_per_month and (claim.unit, metric.unit) != ("%", "s"):
            yield f"unit {claim.unit!r}: an availability is in '%', of a metric in 's', not {metric.unit!r}"
        elif not claim.faults_per_month and claim.unit != metric.unit:
            yield f"unit {claim.unit!r}: {claim.metric} is in {metric.unit!r}"
        for label in sorted({*claim.where, *claim.where_at_least, *claim.where_not} - metric.labels):
            known = ", ".join(sorted(metric.labels)) or "none"
            yield f"where {label!r}: {claim.metric} has no such label; it has {known}"
        if metric.histogram and claim.statistic in ("sum", "mean", "min"):
            yield f"statistic {claim.statistic!r}: of a histogram only median, p95, p99, p99.9 and max are had"
    if not math.isfinite(claim.bound):
        yield f"bound {claim.bound}: must be finite"
    if claim.minimum_runs < 1:
        yield f"minimum_runs {claim.minimum_runs}: must be at least 1"
    if claim.proof_runs is not None and not 1 <= claim.proof_runs <= claim.minimum_runs:
        yield f"proof_runs {claim.proof_runs}: must be from 1 to minimum_runs, {claim.minimum_runs}"
    for name in ("id", "statement", "source"):
        if not getattr(claim, name).strip():
            yield f"{name}: must not be empty"
