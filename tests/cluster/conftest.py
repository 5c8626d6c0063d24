"""One real cluster for all tests of this folder that want one."""

import os
import sys
import time
from collections.abc import Iterator

import pytest

from hms.cluster import Cluster
from hms.cluster.binaries import missing_binaries
from tests.cluster.bench import NAMESPACE, Bench
from tests.cluster.remains import eventually


@pytest.fixture(scope="package")
def bench() -> Iterator[Bench]:
    missing = missing_binaries()
    assert not missing, f"run `hms tools` first: {missing}"
    cluster = Cluster(f"t-{os.getpid()}")
    began = time.monotonic()
    try:
        cluster.up(progress=lambda line: print(line, file=sys.stderr))
        made = Bench(cluster, time.monotonic() - began)
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}})
        account = ["get", "serviceaccount", "default"]
        eventually(lambda: bool(made.kubectl.run(*account)), within_seconds=10, what="the namespace's account")
        yield made
    finally:
        cluster.down(progress=lambda _: None)
