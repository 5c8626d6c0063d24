"""An Inventory on file, with a test cluster that looks as if it were up."""

from pathlib import Path

import msgspec
import pytest

from tests.loadtests.inventory import small_inventory


@pytest.fixture
def inventory_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an Inventory, and the kubeconfig of a test cluster that is not asked."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    kubeconfig = tmp_path / "state" / "hms" / "clusters" / "default" / "kubeconfig"
    kubeconfig.parent.mkdir(parents=True)
    kubeconfig.touch()
    path = tmp_path / "inventory.json"
    path.write_bytes(msgspec.json.encode(small_inventory()))
    return path
