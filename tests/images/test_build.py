"""Builds by the machine's engine: once, whole, and again after a build was killed; the images are tiny."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hms.errors import ImageError
from hms.images.build import build_images
from hms.images.builder import find_builder
from hms.images.catalogue import Image
from hms.images.store import ArchiveStore, read_facts

TINY = Image(name="tiny", user_id=26199, base="scratch")

BUILD_IN_A_PROCESS = """
import sys
from pathlib import Path
from hms.images.build import build_images
from hms.images.catalogue import Image
from hms.images.store import ArchiveStore
build_images(
    [Image(name="tiny", user_id=26199, base="scratch")], root=Path(sys.argv[1]), store=ArchiveStore(Path(sys.argv[2])),
    progress=lambda line: print(line, flush=True),
)
"""


@pytest.fixture
def store(tmp_path: Path) -> ArchiveStore:
    return ArchiveStore(tmp_path / "images")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    folder = root / "images" / "tiny"
    folder.mkdir(parents=True)
    (folder / "Containerfile").write_text("ARG BASE=scratch\nFROM ${BASE}\nCOPY hello /hello\nUSER 26199:26199\n")
    (folder / "hello").write_text("hello\n")
    return root


def build(root: Path, store: ArchiveStore, said: list[str] | None = None) -> Path:
    return build_images([TINY], root=root, store=store, progress=(said if said is not None else []).append)["tiny"]


def test_what_is_there_is_not_built_again_and_what_changed_is(checkout: Path, store: ArchiveStore) -> None:
    said: list[str] = []
    first = build(checkout, store, said)
    assert read_facts(first).references == (f"localhost/hms/tiny:{store.digest_of(first)}",)
    assert said[0] == "image tiny: building"
    said.clear()
    assert build(checkout, store, said) == first
    assert said == []
    (checkout / "images/tiny/hello").write_text("hello again\n")
    assert build(checkout, store) != first
    assert first.exists()


def test_commands_at_once_build_once(checkout: Path, store: ArchiveStore) -> None:
    said: list[str] = []
    threads = [threading.Thread(target=build, args=(checkout, store, said)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert said.count("image tiny: building") == 1


def test_a_failing_build_shows_why_and_leaves_nothing(checkout: Path, store: ArchiveStore) -> None:
    (checkout / "images/tiny/Containerfile").write_text("ARG BASE=scratch\nFROM ${BASE}\nCOPY missing /\n")
    with pytest.raises(ImageError, match="build of the image 'tiny'") as caught:
        build(checkout, store)
    assert "missing" in caught.value.message
    assert sorted(path.name for path in store.home.iterdir()) == ["lock", "logs", "storage"]


def test_only_the_last_images_are_kept_by_us_and_by_the_engine(checkout: Path, store: ArchiveStore) -> None:
    store.kept = 1
    first = build(checkout, store)
    (checkout / "images/tiny/hello").write_text("hello again\n")
    second = build(checkout, store)
    assert [path.exists() for path in (first, second)] == [False, True]
    engine = find_builder(store.home)
    tags = [f"localhost/hms/tiny:{store.digest_of(archive)}" for archive in (first, second)]
    assert [engine.has(tag) for tag in tags] == [False, True]


def test_a_build_that_was_killed_is_waited_for_and_done_again(checkout: Path, store: ArchiveStore) -> None:
    busybox = shutil.which("busybox")
    assert busybox, "busybox: not found; apt-get install busybox-static"
    shutil.copy(busybox, checkout / "images/tiny/busybox")
    (checkout / "images/tiny/Containerfile").write_text(
        'ARG BASE=scratch\nFROM ${BASE}\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "sleep", "2"]\n'
    )
    first = subprocess.Popen(
        [sys.executable, "-c", BUILD_IN_A_PROCESS, str(checkout), str(store.home)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert first.stdout is not None
    with first.stdout as lines:
        assert lines.readline() == "image tiny: building\n"
        wait_for_log(store.home / "logs" / "tiny.log", "sleep")
        first.send_signal(signal.SIGKILL)
        assert first.wait(30) == -signal.SIGKILL
    said: list[str] = []
    archive = build(checkout, store, said)
    assert said[0] == "another command is at work on the images; waiting for it"
    assert read_facts(archive).size_bytes > 0
    assert sorted(path.name for path in store.home.iterdir()) == ["lock", "logs", "storage", archive.name]


def wait_for_log(log: Path, text: str) -> None:
    """Follow a log until it has `text`; tail's own watch of the file is the event."""
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", str(log)], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ) as tail:
        assert tail.stdout is not None
        for line in tail.stdout:
            if text in line and line.startswith("STEP"):
                break
        tail.kill()
