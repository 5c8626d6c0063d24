"""Archives are there whole or not at all, the last few are kept, and one command builds at a time."""

import os
import tarfile
import threading
from pathlib import Path

import pytest

from hms.errors import ImageError
from hms.images.store import ArchiveStore, read_facts
from tests.images.conftest import docker_archive, sha256


@pytest.fixture
def store(tmp_path: Path) -> ArchiveStore:
    return ArchiveStore(tmp_path / "images")


def test_an_archive_appears_when_it_is_whole(store: ArchiveStore) -> None:
    with store.put("tiny", "d1") as partial:
        partial.write_bytes(b"half")
        assert store.get("tiny", "d1") is None
    archive = store.get("tiny", "d1")
    assert archive == store.home / "tiny-d1.tar"
    assert archive.read_bytes() == b"half"
    assert list(store.home.iterdir()) == [archive]
    assert store.digest_of(archive) == "d1"


def test_a_failure_leaves_nothing(store: ArchiveStore) -> None:
    def interrupted() -> None:
        with store.put("tiny", "d1") as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(store.home.iterdir()) == []


def test_what_a_killed_build_left_is_cleared_and_nothing_else(store: ArchiveStore) -> None:
    with store.put("tiny", "d1") as partial:
        partial.write_bytes(b"whole")
    (store.home / ".tiny-d2.tar.partial").write_bytes(b"half")
    (store.home / ".tiny-x.partial" / "images").mkdir(parents=True)
    store.clear_partial()
    assert [path.name for path in store.home.iterdir()] == ["tiny-d1.tar"]


def test_the_last_used_are_kept(store: ArchiveStore) -> None:
    for number in range(5):
        with store.put("tiny", f"d{number}") as partial:
            partial.write_bytes(b"x")
        os.utime(store.path("tiny", f"d{number}"), (number, number))
    with store.put("other", "d0") as partial:
        partial.write_bytes(b"x")
    assert store.get("tiny", "d0") is not None
    removed = store.prune("tiny")
    assert sorted(path.name for path in removed) == ["tiny-d1.tar", "tiny-d2.tar"]
    assert sorted(path.name for path in store.home.iterdir()) == [
        "other-d0.tar", "tiny-d0.tar", "tiny-d3.tar", "tiny-d4.tar",
    ]  # fmt: skip


def test_a_second_command_waits_and_says_so(store: ArchiveStore) -> None:
    said, waiting, entered = [], threading.Event(), threading.Event()

    def note(line: str) -> None:
        said.append(line)
        waiting.set()

    def second() -> None:
        with store.lock(note):
            entered.set()

    with store.lock(said.append):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
    assert said == ["another command is at work on the images; waiting for it"]


def test_facts_are_read_from_the_archive(tmp_path: Path) -> None:
    lower, upper = b"a" * 1000, b"b" * 24
    facts = read_facts(docker_archive(tmp_path / "a.tar", lower, upper))
    assert facts.references == ("localhost/hms/tiny:1",)
    assert facts.layers == ((sha256(lower), 1000), (sha256(upper), 24))
    assert facts.size_bytes == 1024


@pytest.mark.parametrize("damage", [b"", b"not a tar", None])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "a.tar"
    if damage is not None:
        path.write_bytes(damage)
    with pytest.raises(ImageError, match=r"a\.tar: (not an|no such) image archive") as caught:
        read_facts(path)
    assert caught.value.remedy


def test_an_archive_without_a_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("other"))
    with pytest.raises(ImageError, match="not an image archive"):
        read_facts(path)
