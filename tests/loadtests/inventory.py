"""A small Inventory for tests that need no more than its names."""

from pathlib import Path

import msgspec
import pytest

from hms.inventory import Endpoint, Inventory, Postgres, Redis


def small_inventory() -> Inventory:
    """Return a stack `ci` that has an app and no workload."""
    return Inventory(
        stack="ci",
        namespace="hms-ci",
        drills="allowed",
        workloads=(),
        endpoints=(Endpoint(name="app", host="app.hms-ci.svc", port=80),),
        flows=(),
        postgres=Postgres(
            scope="postgres", database="hms", members=(), port=5432, rest_port=8008, synchronous_mode="quorum",
            settings={}, patroni={}, credentials_secret="postgres-credentials",
        ),
        redis=Redis(
            master_name="hms", nodes=(), port=6379, sentinels=(), sentinel_port=26379, quorum=2,
            settings={}, sentinel_settings={}, credentials_secret="redis-credentials",
        ),
        release="2026",
        codes=98_186,
        loadgen_image="localhost/hms/loadgen:abc",
        versions={},
    )  # fmt: skip


def inventory_beside_a_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the Inventory to a file, and the kubeconfig of a test cluster that looks as if it were up."""
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    kubeconfig = folder / "state" / "hms" / "clusters" / "default" / "kubeconfig"
    kubeconfig.parent.mkdir(parents=True)
    kubeconfig.touch()
    path = folder / "inventory.json"
    path.write_bytes(msgspec.json.encode(small_inventory()))
    return path
