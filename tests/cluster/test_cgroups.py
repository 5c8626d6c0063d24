from pathlib import Path

from hms.cluster.cgroups import Hierarchies, favour, freeze, is_frozen, parse_mounts, prepare, processes

LEGACY = """\
tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/freezer cgroup rw,relatime,freezer 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
proc /proc proc rw 0 0
"""


def test_mounts_of_a_hybrid_host_are_told_apart() -> None:
    unified, legacy = parse_mounts(LEGACY)

    assert unified == [Path("/sys/fs/cgroup/unified")]
    assert legacy == {
        Path("/sys/fs/cgroup/cpu,cpuacct"): frozenset({"cpu", "cpuacct"}),
        Path("/sys/fs/cgroup/freezer"): frozenset({"freezer"}),
    }


def test_mounts_of_a_unified_host() -> None:
    assert parse_mounts("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n") == ([Path("/sys/fs/cgroup")], {})


def test_version_2_enables_only_controllers_that_are_there_and_not_enabled(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "hms-a", tmp_path / "hms-a" / "node-1"):
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.subtree_control").write_text("memory")
    hierarchies = Hierarchies(2, (tmp_path,), frozenset({"cpu", "memory", "pids"}))

    made = prepare(hierarchies, "/hms-a/node-1/daemons")

    assert made == [tmp_path / "hms-a" / "node-1" / "daemons"]
    assert (tmp_path / "hms-a" / "node-1" / "cgroup.subtree_control").read_text() == "+cpu +pids"
    assert not (made[0] / "cgroup.subtree_control").exists(), "a group with processes must not delegate"


def test_version_1_seeds_an_empty_cpuset_from_its_parent(tmp_path: Path) -> None:
    root = tmp_path / "cpuset"
    group = root / "hms-a"
    group.mkdir(parents=True)
    for directory, cpus, mems in ((root, "0-1\n", "0\n"), (group, "\n", "\n")):
        (directory / "cpuset.cpus").write_text(cpus)
        (directory / "cpuset.mems").write_text(mems)

    prepare(Hierarchies(1, (root,), frozenset({"cpuset"})), "/hms-a")

    assert (group / "cpuset.cpus").read_text() == "0-1\n"
    assert (group / "cpuset.mems").read_text() == "0\n"


def test_a_cluster_weighs_as_much_as_many_processes(tmp_path: Path) -> None:
    cpu, memory, unified = (tmp_path / name for name in ("cpu", "memory", "unified"))
    for root, file in ((cpu, "cpu.shares"), (memory, "memory.limit_in_bytes"), (unified, "cpu.weight")):
        (root / "hms-a").mkdir(parents=True)
        (root / "hms-a" / file).write_text("as it was")

    favour(Hierarchies(1, (cpu, memory, unified), frozenset()), "/hms-a", factor=10)

    assert (cpu / "hms-a" / "cpu.shares").read_text() == "10240"
    assert (unified / "hms-a" / "cpu.weight").read_text() == "1000"
    assert (memory / "hms-a" / "memory.limit_in_bytes").read_text() == "as it was"


def test_a_cpuset_that_was_narrowed_is_left_alone(tmp_path: Path) -> None:
    group = tmp_path / "hms-a"
    group.mkdir()
    for directory, cpus in ((tmp_path, "0-1\n"), (group, "1\n")):
        (directory / "cpuset.cpus").write_text(cpus)
        (directory / "cpuset.mems").write_text("0\n")

    prepare(Hierarchies(1, (tmp_path,), frozenset({"cpuset"})), "/hms-a")

    assert (group / "cpuset.cpus").read_text() == "1\n"


def test_processes_of_a_group_include_those_below(tmp_path: Path) -> None:
    below = tmp_path / "hms-a" / "node-1" / "kubepods"
    below.mkdir(parents=True)
    (tmp_path / "hms-a" / "cgroup.procs").write_text("")
    (below / "cgroup.procs").write_text("7\n9\n")
    hierarchies = Hierarchies(2, (tmp_path,), frozenset())

    assert processes(hierarchies, "/hms-a") == {7, 9}
    assert processes(hierarchies, "/hms-b") == set()


def test_version_2_is_frozen_when_the_kernel_says_so(tmp_path: Path) -> None:
    group = tmp_path / "hms-a"
    group.mkdir()
    (group / "cgroup.freeze").write_text("0\n")
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    hierarchies = Hierarchies(2, (tmp_path,), frozenset())

    freeze(hierarchies, "/hms-a", frozen=True)

    assert is_frozen(hierarchies, "/hms-a")
    assert not is_frozen(hierarchies, "/hms-b")
