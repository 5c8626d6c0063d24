"""A whole run made up for tests, sealed, in which every claim of the short proof holds."""

from pathlib import Path

from hms.catalogue import default_catalogue_directory, load_catalogue
from hms.evidence_directory import EvidenceDirectory
from hms.judgement import judge_directory
from tests.hms.evidence_samples import TrialPlan, load_run, write_checks, write_frame, write_trial
from tests.hms.read_samples import with_readers, write_control

FULL_COUNT = len(load_catalogue(default_catalogue_directory()).claims)
CATALOGUE = load_catalogue(default_catalogue_directory()).short_proof()
CLAIM_COUNT = len(CATALOGUE.claims)


def sample_evidence(
    path: Path, *, gap_ms: tuple[int | None, ...] = (1100, 1240, 1610), lost: int = 0
) -> EvidenceDirectory:
    """Write a whole sealed run in which every claim holds, unless `lost` plants losses in the first Postgres trial."""
    evidence = EvidenceDirectory(path)
    write_frame(evidence)
    write_checks(evidence)
    evidence.write("load/first/1/load.json", load_run())
    for number, gap in enumerate(gap_ms, start=1):
        planted = lost if number == 1 else 0
        plan = TrialPlan(number=number, gap_ms=gap, lost=planted, bystanders=("app",))
        write_trial(evidence, plan, with_readers(evidence, plan))
        redis_gap = None if gap is None else gap // 2
        plan = TrialPlan(
            drill="redis-kill-primary", writer="redis", number=number, gap_ms=redis_gap, lost=number % 2,
            bystanders=("app",),
        )  # fmt: skip
        write_trial(evidence, plan, with_readers(evidence, plan))
    write_control(evidence)
    judge_directory(evidence, catalogue=CATALOGUE)
    evidence.seal()
    return evidence
