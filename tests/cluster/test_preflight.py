import os
from pathlib import Path

import pytest

from hms.cluster import preflight
from hms.errors import ClusterError


def test_not_linux_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")

    with pytest.raises(ClusterError, match=r"needs Linux, this is Darwin(.|\n)*--kubeconfig"):
        preflight.check(tmp_path, 3)


def test_not_root_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(ClusterError, match=r"needs root, this is user 1000(.|\n)*--kubeconfig"):
        preflight.check(tmp_path, 3)


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "missing_binaries", lambda: ["kubelet: not found"])
    monkeypatch.setattr(preflight, "cgroup_problems", lambda: ["cgroup v2: no controller memory"])
    monkeypatch.setattr(preflight, "memory_bytes", lambda _: 1 << 30)

    with pytest.raises(ClusterError) as refused:
        preflight.check(tmp_path, 3)

    text = str(refused.value)
    assert "kubelet: not found" in text
    assert "cgroup v2: no controller memory" in text
    assert "memory: 1024 MiB available, 3 nodes need 4096 MiB" in text


def test_a_run_directory_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    problems = preflight.resource_problems(tmp_path / ("d" * 100), 1)

    assert [problem for problem in problems if "a socket's path may have 107" in problem]


def test_a_run_directory_below_run_is_refused() -> None:
    assert [
        problem for problem in preflight.resource_problems(Path("/run/user/0/hms"), 1) if "XDG_STATE_HOME" in problem
    ]
