"""The beginning of a run's evidence: a new directory, and what was run, from which commit, on which stack."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from hms import __version__
from hms.errors import UsageError
from hms.evidence import Run
from hms.evidence_directory import EvidenceDirectory
from hms.paths import project_root


def begin_evidence(
    kind: Literal["prove", "smoke", "load", "drill"], stack: str, *, out: Path | None, seed: int | None = None
) -> EvidenceDirectory:
    """Make the directory `out`, by default one named by the time in the checkout's `evidence/`, with its `run.json`.

    `UsageError` if there is anything in it.
    """
    now = datetime.now(UTC)
    path = (out or project_root() / "evidence" / f"{now:%Y%m%dT%H%M%SZ}-{stack}-{kind}").resolve()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"--out {path}: not empty", remedy="Evidence is append-only: name a new directory.")
    evidence = EvidenceDirectory(path)
    record = Run(
        id=path.name, kind=kind, stack=stack, started_at=now.isoformat(timespec="seconds"),
        version=__version__, commit=checkout_commit(), seed=seed,
    )  # fmt: skip
    evidence.write("run.json", record)
    return evidence


def checkout_commit() -> str:
    """Return the checkout's commit, marked where files differ from it; `unknown` outside a repository."""
    done = subprocess.run(
        ["git", "-C", str(project_root()), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        text=True, capture_output=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"
