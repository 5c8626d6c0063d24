import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from hms.cluster.archive import BinaryImage, archive_images, ensure_archive
from hms.cluster.images import ImageStore, load_images
from hms.errors import ClusterError, ImageError


@pytest.fixture
def image(tmp_path: Path) -> BinaryImage:
    binary = tmp_path / "tool"
    binary.write_bytes(b"\x7fELF and more")
    return BinaryImage("tool", binary, "/bin/tool", ("/bin/tool", "serve"))


def test_every_digest_in_an_archive_is_that_of_its_content(image: BinaryImage, tmp_path: Path) -> None:
    reference, path = ensure_archive(image, tmp_path / "cache")

    with tarfile.open(path) as archive:
        blobs = {
            member.name.rpartition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]  # a file
            for member in archive.getmembers()
            if member.name.startswith("blobs/")
        }
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]  # a file
    assert all(hashlib.sha256(blob).hexdigest() == name for name, blob in blobs.items())
    manifest = json.loads(blobs[index["manifests"][0]["digest"].removeprefix("sha256:")])
    config = json.loads(blobs[manifest["config"]["digest"].removeprefix("sha256:")])
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert archive_images(path) == {reference: index["manifests"][0]["digest"]}


def test_the_layer_holds_the_binary_and_may_run(image: BinaryImage, tmp_path: Path) -> None:
    _, path = ensure_archive(image, tmp_path / "cache")

    with tarfile.open(path) as archive:
        largest = max(archive.getmembers(), key=lambda member: member.size)
        layer = archive.extractfile(largest)
        assert layer is not None
        with tarfile.open(fileobj=io.BytesIO(layer.read())) as content:
            entry = content.getmember("bin/tool")
            file = content.extractfile(entry)
            assert file is not None
            assert file.read() == image.binary.read_bytes()
    assert entry.mode & 0o111


def test_another_content_is_another_reference(image: BinaryImage) -> None:
    before = image.reference()
    image.binary.write_bytes(b"another")

    assert image.reference() != before


def test_an_archive_is_written_once_and_no_half_one_stays(image: BinaryImage, tmp_path: Path) -> None:
    _, path = ensure_archive(image, tmp_path / "cache")
    written = path.stat().st_mtime_ns

    ensure_archive(image, tmp_path / "cache")

    assert path.stat().st_mtime_ns == written
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_docker_archive_names_its_tags(tmp_path: Path) -> None:
    path = tmp_path / "docker.tar"
    body = json.dumps([{"Config": "c.json", "RepoTags": ["localhost/hms/app:1"], "Layers": []}]).encode()
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(body)
        archive.addfile(entry, io.BytesIO(body))

    assert archive_images(path) == {"localhost/hms/app:1": ""}


def test_what_is_no_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.tar"
    path.write_text("not a tar")

    with pytest.raises(ClusterError, match=r"notes\.tar: not an image archive"):
        archive_images(path)


CTR = """\
#!/bin/sh
echo "$@" >> {calls}
if [ "$6" = list ]; then echo "REF TYPE DIGEST SIZE PLATFORMS LABELS"; cat {present}; fi
"""


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    ctr = tmp_path / "ctr"
    ctr.write_text(CTR.format(calls=tmp_path / "calls", present=tmp_path / "present"))
    ctr.chmod(0o755)
    (tmp_path / "present").write_text("")
    return ImageStore("node-1", tmp_path / "containerd.sock", str(ctr))


def imports(tmp_path: Path) -> list[str]:
    return [line for line in (tmp_path / "calls").read_text().splitlines() if " images import " in line]


def test_an_image_that_a_node_has_is_not_loaded_again(image: BinaryImage, store: ImageStore, tmp_path: Path) -> None:
    reference, path = ensure_archive(image, tmp_path / "cache")
    digest = archive_images(path)[reference]
    said: list[str] = []

    load_images([store], [path], said.append)
    (tmp_path / "present").write_text(f"{reference} application/x {digest} 1 MiB linux -\n")
    load_images([store], [path], said.append)

    assert len(imports(tmp_path)) == 1
    assert said == [f"node-1: {reference}", "node-1: has every image"]


def test_a_name_that_now_means_other_content_is_loaded(image: BinaryImage, store: ImageStore, tmp_path: Path) -> None:
    reference, path = ensure_archive(image, tmp_path / "cache")
    (tmp_path / "present").write_text(f"{reference} application/x sha256:{'0' * 64} 1 MiB linux -\n")

    load_images([store], [path], lambda _: None)

    assert len(imports(tmp_path)) == 1


def test_a_missing_archive_is_named_before_anything_is_loaded(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"app\.tar: no such image archive(.|\n)*hms images"):
        load_images([store], [tmp_path / "app.tar"], lambda _: None)

    assert not (tmp_path / "calls").exists()
