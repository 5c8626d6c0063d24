"""An Inventory on file, with a test cluster that looks as if it were up."""

from pathlib import Path

import pytest

from tests.loadtests.inventory import inventory_beside_a_cluster


@pytest.fixture
def inventory_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an Inventory, and the kubeconfig of a test cluster that is not asked."""
    return inventory_beside_a_cluster(tmp_path, monkeypatch)
