"""Several images as one archive: each layer once, none that the receiver has, and containerd takes it."""

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hms.errors import ImageError
from hms.images.oci import write_oci
from tests.images.conftest import docker_archive, layer, sha256

SHARED = layer({"shared": "by all"})
ONE, TWO, THREE = (layer({name: name}) for name in ("one", "two", "three"))
START_SECONDS = 20.0


def blobs(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return [name.removeprefix("blobs/sha256/") for name in tar.getnames() if name.startswith("blobs/sha256/")]


def test_a_shared_layer_is_there_once_and_a_present_one_not_at_all(tmp_path: Path) -> None:
    first = docker_archive(tmp_path / "1.tar", SHARED, ONE, tag="localhost/hms/one:1")
    second = docker_archive(tmp_path / "2.tar", SHARED, TWO, tag="localhost/hms/two:1")
    write_oci([first, second], tmp_path / "all.tar")
    found = blobs(tmp_path / "all.tar")
    assert [found.count(sha256(data)) for data in (SHARED, ONE, TWO)] == [1, 1, 1]
    write_oci([first, second], tmp_path / "rest.tar", present={f"sha256:{sha256(d)}" for d in (SHARED, ONE)})
    found = blobs(tmp_path / "rest.tar")
    assert [found.count(sha256(data)) for data in (SHARED, ONE, TWO)] == [0, 0, 1]


def test_what_it_says_of_its_blobs_is_true(tmp_path: Path) -> None:
    write_oci([docker_archive(tmp_path / "1.tar", SHARED, ONE)], tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as tar:

        def read(name: str) -> bytes:
            stream = tar.extractfile(name)
            assert stream is not None
            return stream.read()

        (named,) = json.loads(read("index.json"))["manifests"]
        assert named["annotations"]["io.containerd.image.name"] == "localhost/hms/tiny:1"
        manifest = json.loads(read(f"blobs/{named['digest'].replace(':', '/')}"))
        for descriptor in (named, manifest["config"], *manifest["layers"]):
            data = read(f"blobs/{descriptor['digest'].replace(':', '/')}")
            assert (f"sha256:{sha256(data)}", len(data)) == (descriptor["digest"], descriptor["size"])


def test_compressed_layers_are_refused_as_their_digests_are_others(tmp_path: Path) -> None:
    archive = docker_archive(tmp_path / "1.tar", gzip.compress(SHARED))
    with pytest.raises(ImageError, match="is compressed"):
        write_oci([archive], tmp_path / "all.tar")


@pytest.mark.parametrize("damage", [b"", b"no tar", None])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: bytes | None) -> None:
    if damage is not None:
        (tmp_path / "1.tar").write_bytes(damage)
    with pytest.raises(ImageError, match=r"1\.tar: cannot be read"):
        write_oci([tmp_path / "1.tar"], tmp_path / "all.tar")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """Run a containerd of our own and return its socket."""
    home = Path("/run") / f"hms-test-images-{os.getpid()}"
    home.mkdir()
    socket = home / "sock"
    (home / "config.toml").write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "{home}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{socket}"\n'
    )
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(["containerd", "--config", str(home / "config.toml")], stdout=log, stderr=log)
    try:
        # ctr waits for the socket by itself.
        ctr(socket, "--connect-timeout", f"{START_SECONDS:g}s", "version")
        yield socket
    finally:
        daemon.terminate()
        daemon.wait(START_SECONDS)
        shutil.rmtree(home)


def ctr(socket: Path, *arguments: str) -> str:
    argv = ["ctr", "--address", str(socket), "--namespace", "k8s.io", *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.cluster
def test_containerd_finds_the_layers_that_an_archive_leaves_out(tmp_path: Path, node: Path) -> None:
    first = docker_archive(tmp_path / "1.tar", SHARED, ONE, tag="localhost/hms/one:1")
    second = docker_archive(tmp_path / "2.tar", SHARED, ONE, TWO, tag="localhost/hms/two:1")
    third = docker_archive(tmp_path / "3.tar", SHARED, THREE, tag="localhost/hms/three:1")
    ctr(node, "images", "import", str(first))
    present = set(ctr(node, "content", "ls", "--quiet").split())
    assert f"sha256:{sha256(SHARED)}" in present
    write_oci([second, third], tmp_path / "rest.tar", present=present)
    assert sha256(SHARED) not in blobs(tmp_path / "rest.tar")
    ctr(node, "images", "import", "--digests=false", str(tmp_path / "rest.tar"))
    lines = ctr(node, "images", "check").splitlines()[1:]
    assert sorted(line.split()[0] for line in lines) == [f"localhost/hms/{n}:1" for n in ("one", "three", "two")]
    assert all(" complete " in line and line.split()[-1] == "true" for line in lines)
