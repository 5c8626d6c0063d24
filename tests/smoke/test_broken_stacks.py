"""A stack that is not what it declares does not pass, and the check that finds it is the one that was made for it.

That one which is what it declares passes is the proof's own smoke step (`tests/end_to_end`).
"""

from pathlib import Path

import msgspec
import pytest

from hms.evidence import Check
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl
from smoke.run import CHECKS, run_smoke
from tests.proved import ProvedStack
from tests.smoke.broken import (
    Broken,
    a_network_that_is_open,
    a_setting_that_one_member_has_alone,
    more_memory_than_declared,
)


def disagreements(inventory: Inventory, kubectl: Kubectl, folder: Path) -> dict[str, set[str]]:
    """Run the smoke checks and return the targets of those that disagree, by the check's name."""
    said: list[str] = []
    agrees = run_smoke(inventory, kubectl, EvidenceDirectory(folder), said.append)
    checks = [msgspec.json.decode(line, type=Check) for line in (folder / CHECKS).read_bytes().splitlines()]
    found: dict[str, set[str]] = {}
    for check in checks:
        if not check.ok:
            found.setdefault(check.id, set()).add(check.target)
    assert agrees is (not found), said
    return found


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "found_by"),
    [
        (more_memory_than_declared, {"limits.memory_bytes"}),
        (a_setting_that_one_member_has_alone, {"postgres.setting.work_mem"}),
        (a_network_that_is_open, {"network.flow", "network.open_to_all"}),
    ],
)
def test_a_broken_stack_is_found(broken: Broken, found_by: set[str], proof: ProvedStack, tmp_path: Path) -> None:
    with broken(proof.inventory, proof.kubectl):
        found = disagreements(proof.inventory, proof.kubectl, tmp_path / "broken")
    assert set(found) == found_by
