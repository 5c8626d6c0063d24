import ctypes
import os
from pathlib import Path

import pytest

from hms.cluster import inotify
from hms.cluster.cgroups import Hierarchies


class Host:
    """A host's limit, its record and its control groups, in a directory; its processes have 90 instances."""

    def __init__(self, directory: Path) -> None:
        self.limit = directory / "max_user_instances"
        self.limit.write_text("128\n")
        self.record = directory / "run" / "hms-inotify.json"
        self.root = directory / "cgroup"
        self.root.mkdir()
        self.hierarchies = Hierarchies(1, (self.root,), frozenset())

    def reserve(self, name: str, nodes: int = 3) -> str | None:
        return inotify.reserve(self.hierarchies, f"/hms-{name}", nodes, path=self.limit, record=self.record)

    def remove(self, name: str) -> None:
        (self.root / f"hms-{name}").rmdir()
        inotify.release(self.hierarchies, path=self.limit, record=self.record)

    def has(self) -> int:
        return inotify.limit(self.limit)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(inotify, "in_use", lambda: 90)
    return Host(tmp_path)


def test_enough_is_left_alone(host: Host) -> None:
    assert host.reserve("one", nodes=1) is None

    assert host.has() == 128
    assert (host.root / "hms-one").is_dir()
    host.remove("one")
    assert list(host.record.parent.iterdir()) == []


def test_too_few_are_raised_and_told_and_put_back_with_the_last_cluster(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = 90 + inotify.wanted(3)
    assert host.reserve("one") == f"fs.inotify.max_user_instances: 128 -> {first} until the machine has no test cluster"
    monkeypatch.setattr(inotify, "in_use", lambda: 130)
    host.reserve("two")
    assert host.has() == 130 + inotify.wanted(3)

    host.remove("one")
    assert host.has() == 130 + inotify.wanted(3)
    host.remove("two")

    assert host.has() == 128
    assert list(host.record.parent.iterdir()) == []


def test_a_limit_that_somebody_else_has_set_since_is_theirs(host: Host) -> None:
    host.reserve("one")
    host.limit.write_text("1000")

    host.remove("one")

    assert host.has() == 1000


def test_a_limit_that_somebody_else_lowered_is_what_is_put_back(host: Host) -> None:
    host.reserve("one")
    host.limit.write_text("100")

    host.reserve("two")
    host.remove("one")
    host.remove("two")

    assert host.has() == 100


def test_half_a_record_changes_nothing(host: Host) -> None:
    host.reserve("one")
    raised = host.has()
    host.record.write_text('{"before": 12')

    host.remove("one")

    assert host.has() == raised


def test_a_limit_that_cannot_be_raised_is_a_problem_told_with_a_way_out(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)

    problem = inotify.problem(3, host.limit)

    assert problem is not None
    assert f"128, of which 90 are in use, and 3 nodes need {inotify.wanted(3)}" in problem
    assert f"`sysctl fs.inotify.max_user_instances={90 + inotify.wanted(3)}` on the host" in problem
    assert inotify.problem(1, host.limit) is None


def test_a_process_own_instances_are_counted(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("root's processes count")
    (tmp_path / str(os.getpid())).symlink_to(f"/proc/{os.getpid()}")
    before = inotify.in_use(tmp_path)
    libc = ctypes.CDLL(None, use_errno=True)

    instances = [libc.inotify_init1(os.O_CLOEXEC) for _ in range(5)]

    try:
        assert inotify.in_use(tmp_path) == before + 5
    finally:
        for instance in instances:
            os.close(instance)
    assert inotify.in_use(tmp_path) == before
