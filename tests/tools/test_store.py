import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hms.errors import ToolError
from hms.tools.store import Made, Store
from tests.tools.conftest import write_command

Maker = Callable[[Path], Made]


class Counted:
    """A maker that remembers how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, folder: Path) -> Made:
        self.times += 1
        write_command(folder / "bin" / "widget", "1.2.3")
        return Made("built", "a test", 0.5, {"widget": "bin/widget"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "tools")


def make(store: Store, maker: Maker, *, thorough: bool = False) -> Path:
    artefact = store.make("widget", "1.2.3", "d1", maker, progress=print, thorough=thorough)
    return artefact.paths["widget"]


def test_what_is_sound_is_made_once_and_says_where_it_is_from(store: Store) -> None:
    maker = Counted()
    assert make(store, maker) == make(store, maker)
    assert maker.times == 1
    artefact, damage = store.find("widget", "d1", thorough=True)
    assert artefact is not None
    assert (artefact.record.origin, artefact.record.source, artefact.record.seconds) == ("built", "a test", 0.5)
    assert damage == ""


def test_another_pin_is_another_folder(store: Store) -> None:
    make(store, Counted())
    assert store.find("widget", "d2") == (None, "")


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-5]), "bytes of"),
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.chmod(0o644), "is not executable"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"1.2.3", b"6.6.6")), "does not have the content"),
        (lambda path: (path.parents[1] / "record.json").write_text('{"schema": 1, "na'), "half-made"),
        (lambda path: (path.parents[1] / "record.json").unlink(), "half-made"),
    ],
)
def test_what_is_broken_is_noticed_and_made_anew(store: Store, break_it: Callable[[Path], object], told: str) -> None:
    maker = Counted()
    path = make(store, maker)
    break_it(path)
    artefact, damage = store.find("widget", "d1")
    assert artefact is None
    assert told in damage
    assert make(store, maker) == path
    assert maker.times == 2
    assert "1.2.3" in path.read_text()


def test_the_thorough_check_reads_what_the_quick_one_trusts(store: Store) -> None:
    path = make(store, Counted())
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"1.2.3", b"6.6.6"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.find("widget", "d1")[0] is not None
    artefact, damage = store.find("widget", "d1", thorough=True)
    assert artefact is None
    assert "does not have the content" in damage


def test_a_maker_that_fails_leaves_nothing(store: Store) -> None:
    def fail(folder: Path) -> Made:
        (folder / "half").write_text("of it")
        raise ToolError("the compiler said no")

    with pytest.raises(ToolError, match="said no"):
        make(store, fail)
    assert [path.name for path in store.root.iterdir()] == ["widget-d1.lock"]


def test_a_maker_that_forgets_a_command_is_told(store: Store) -> None:
    with pytest.raises(ToolError, match=r"a test did not yield bin/widget"):
        make(store, lambda folder: Made("built", "a test", 0.0, {"widget": "bin/widget"}))


def test_what_a_killed_maker_left_is_removed(store: Store) -> None:
    left = store.root / "widget-d1.partial-killed"
    (left / "read-only").mkdir(parents=True)
    (left / "read-only" / "file").write_text("")
    (left / "read-only").chmod(0o555)
    make(store, Counted())
    assert sorted(path.name for path in store.root.iterdir()) == ["widget-d1", "widget-d1.lock"]


def test_of_two_processes_at_once_one_makes_and_the_other_waits(store: Store, tmp_path: Path) -> None:
    """Both are let go at the same time; the maker holds on until the other one says that it waits."""
    script = tmp_path / "make.py"
    script.write_text(
        f"""
import sys
from pathlib import Path
from hms.tools.store import Made, Store

def maker(folder):
    print("making", flush=True)
    sys.stdin.readline()
    (folder / "widget").write_text("#!/bin/sh")
    (folder / "widget").chmod(0o755)
    return Made("built", "a test", 0.0, {{"widget": "widget"}})

store = Store(Path({str(store.root)!r}))
print(store.make("widget", "1.2.3", "d1", maker, progress=lambda line: print(line, flush=True)).directory)
"""
    )

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen([sys.executable, str(script)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    with start() as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "making\n"
        with start() as second:
            assert second.stdout is not None
            assert second.stdout.readline() == f"widget: waiting for process {first.pid}, which is making it\n"
            told, _ = first.communicate("go on\n")
            assert told == f"{store.root}/widget-d1\n"
            told, _ = second.communicate()
            assert told == f"{store.root}/widget-d1\n"
