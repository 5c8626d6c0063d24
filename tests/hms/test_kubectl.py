"""A cluster that the user names: what is refused before anything is run, and what is said where nobody answers."""

from pathlib import Path

import pytest

from hms.errors import ClusterError, UsageError
from hms.kubectl import Kubectl, explicit_kubectl

KUBECONFIG = """
apiVersion: v1
kind: Config
contexts: [{name: prod, context: {cluster: c, user: u}}, {name: dev, context: {cluster: c, user: u}}]
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    return path


def test_a_context_of_the_file_is_a_cluster(kubeconfig: Path) -> None:
    assert explicit_kubectl(kubeconfig, "dev", binary="/k") == Kubectl(kubeconfig, "dev", "/k")


def test_a_context_that_is_not_there_is_refused_with_those_that_are(kubeconfig: Path) -> None:
    with pytest.raises(UsageError, match=r"context 'x': not in .*kubeconfig, which has dev, prod"):
        explicit_kubectl(kubeconfig, "x")


@pytest.mark.parametrize("content", ["", "- a", "contexts: 3", "contexts: [{}]", "a: b: c", "\xff"])
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match="not a kubeconfig with contexts"):
        explicit_kubectl(path, "x")
    with pytest.raises(UsageError, match="no such file"):
        explicit_kubectl(tmp_path / "absent", "x")


def test_a_cluster_that_does_not_answer_is_named_with_a_way_out(tmp_path: Path) -> None:
    binary = tmp_path / "kubectl"
    binary.write_text("#!/bin/sh\necho 'connection refused' >&2\nexit 1\n")
    binary.chmod(0o755)
    with pytest.raises(ClusterError, match=r"stack ci: the cluster of context dev in .*: connection refused") as caught:
        Kubectl(tmp_path / "kubeconfig", "dev", str(binary)).reach("stack ci")
    assert "hms cluster up" in str(caught.value.remedy)
