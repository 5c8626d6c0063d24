"""Where archives are taken, and what is said where that cannot be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hms.errors import ClusterError, ImageError
from hms.images import deliver
from hms.images.store import read_facts
from tests.images.conftest import docker_archive, layer, sha256
from tests.images.test_builder import program
from tests.images.test_oci import blobs

SHARED, ONE, TWO = (layer({name: name}) for name in ("shared", "one", "two"))


@dataclass
class Nodes:
    """A cluster's boundary: it notes what it was given, and refuses the first `refusals` times."""

    root: Path
    refusals: int = 0
    nodes: int = 2
    given: list[list[str]] = field(default_factory=list)
    held: list[list[str]] = field(default_factory=list)

    @property
    def layout(self) -> "Nodes":
        return self

    def state(self) -> "Nodes":
        return self

    def containerd_socket(self, number: int) -> Path:
        return self.root / f"node-{number}.sock"

    def load_images(self, archives: Sequence[Path], progress: Callable[[str], None]) -> None:
        self.given.append([path.name for path in archives])
        self.held.append([name for path in archives if path.name == "images.tar" for name in blobs(path)])
        if self.refusals:
            self.refusals -= 1
            raise ClusterError("node-1: content not found")


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {
        "one": docker_archive(tmp_path / "one-d1.tar", SHARED, ONE, tag="localhost/hms/one:d1"),
        "two": docker_archive(tmp_path / "two-d2.tar", SHARED, TWO, tag="localhost/hms/two:d2"),
    }


def test_nodes_that_do_not_answer_get_all_layers_once(archives: dict[str, Path], tmp_path: Path) -> None:
    nodes = Nodes(tmp_path)
    deliver(archives, cluster=nodes)
    assert nodes.given == [["images.tar"]]
    assert [nodes.held[0].count(sha256(data)) for data in (SHARED, ONE, TWO)] == [1, 1, 1]


def test_only_what_a_node_lacks_is_sent(
    archives: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has = {1: (SHARED, ONE), 2: (SHARED,)}
    cases = "".join(
        f"*node-{number}.sock*) {'; '.join(f'echo sha256:{sha256(data)}' for data in there)} ;; "
        for number, there in has.items()
    )
    for number in has:
        (tmp_path / f"node-{number}.sock").touch()
    program(tmp_path / "bin", "ctr", f'case "$*" in {cases} esac')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    nodes = Nodes(tmp_path)
    deliver(archives, cluster=nodes)
    assert [nodes.held[0].count(sha256(data)) for data in (SHARED, ONE, TWO)] == [0, 1, 1]


def test_a_node_that_dropped_a_layer_gets_each_image_whole(archives: dict[str, Path], tmp_path: Path) -> None:
    nodes, said = Nodes(tmp_path, refusals=1), list[str]()
    deliver(archives, cluster=nodes, progress=said.append)
    assert nodes.given == [["images.tar"], ["one-d1.tar", "two-d2.tar"]]
    assert said == ["images one by one, because: node-1: content not found"]


def test_a_cluster_that_refuses_both_ways_is_an_error(archives: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="content not found"):
        deliver(archives, cluster=Nodes(tmp_path, refusals=2))


def test_where_nothing_is_named_nothing_is_done(archives: dict[str, Path], tmp_path: Path) -> None:
    deliver(archives)
    assert not (tmp_path / "cache").exists()


def test_kind_is_needed_and_its_cluster_must_be_there(
    archives: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ImageError, match="kind: not on the path"):
        deliver(archives, kind="dev")
    program(tmp_path / "bin", "kind", f'echo "$@" >> {tmp_path}/calls; [ "$1" = load ] || echo other dev')
    with pytest.raises(ImageError, match="kind cluster 'mine': not there, there is other, dev") as caught:
        deliver(archives, kind="mine")
    assert "kind create cluster --name mine" in caught.value.remedy
    deliver(archives, kind="dev")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[-2:] == [f"load image-archive {archive} --name dev" for archive in archives.values()]


def test_a_registry_gets_each_image_by_its_name_there(
    archives: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "docker", f'echo "$@" >> {tmp_path}/calls; [ "$1" != image ]')
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    deliver(archives, registry="example.org/team/")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert f"load --input {archives['two']}" in calls
    assert calls[-2:] == ["tag localhost/hms/two:d2 example.org/team/two:d2", "push example.org/team/two:d2"]
    assert read_facts(archives["two"]).references == ("localhost/hms/two:d2",)
