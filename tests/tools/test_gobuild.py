import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hms.errors import ToolError
from hms.tools.catalogue import GoBuild, Tool
from hms.tools.gobuild import build_with_go
from hms.tools.machine import probe_version
from hms.tools.store import Store
from tests.tools.conftest import PROBE, make_tool, write_module

STAMPED = GoBuild(
    folder="widget", package=".", binary="hms-test-widget", stamps=("main.version=1.2.3",), aliases=("hms-alias",)
)

DRIVER = """
import sys
from pathlib import Path
from hms.tools.gobuild import build_with_go
from hms.tools.store import Store
from tests.tools.conftest import make_tool
from tests.tools.test_gobuild import STAMPED

home, go = map(Path, sys.argv[1:])
tool = make_tool(go=(STAMPED,))
Store(home / "tools").make(
    "widget", "1.2.3", "d1",
    lambda folder: build_with_go(tool, folder, go=go, go_folder=home / "go", progress=print),
    progress=print,
)
"""


@pytest.fixture
def tool(home: Path) -> Tool:
    write_module(home, "unstamped")
    return make_tool(go=(STAMPED,))


def test_a_module_is_built_with_its_stamp_and_called_by_each_name(home: Path, go: Path, tool: Tool) -> None:
    lines: list[str] = []
    folder = home / "made"
    folder.mkdir()
    made = build_with_go(tool, folder, go=go, go_folder=home / "go", progress=lines.append)
    assert made.commands == {"hms-test-widget": "bin/hms-test-widget", "hms-alias": "bin/hms-alias"}
    assert probe_version(folder / "bin" / "hms-alias", PROBE) == "1.2.3"
    assert sorted(path.name for path in folder.rglob("*")) == ["bin", "hms-alias", "hms-test-widget"]
    assert lines[0] == "widget 1.2.3: building from Go modules"
    assert str(home).encode() not in (folder / "bin" / "hms-test-widget").read_bytes()


def test_the_compiler_s_last_words_are_told(home: Path, go: Path, tool: Tool) -> None:
    (home / "go" / "widget" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    folder = home / "made"
    folder.mkdir()
    with pytest.raises(ToolError, match=r"exit code 1 after \d+ s\n(?s:.*)undefined: undefined"):
        build_with_go(tool, folder, go=go, go_folder=home / "go", progress=print)


def test_the_user_s_own_go_settings_do_not_change_the_build(
    home: Path, go: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOOS", "plan9")
    folder = home / "made"
    folder.mkdir()
    build_with_go(tool, folder, go=go, go_folder=home / "go", progress=print)
    assert probe_version(folder / "bin" / "hms-test-widget", PROBE) == "1.2.3"


def start_build_that_hangs(home: Path) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a build in a process of its own and return it, and the compiler's pid, once the compiler runs.

    The compiler is a stand-in that tells its pid through a pipe and then waits for ever.
    """
    told = home / "told"
    os.mkfifo(told)
    stand_in = home / "go-that-hangs"
    stand_in.write_text(f"#!/bin/sh\ntouch half-made\necho $$ > {told}\nexec sleep infinity\n")
    stand_in.chmod(0o755)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(home), str(stand_in)], stderr=subprocess.DEVNULL)
    return driver, int(told.read_text())


def await_end(pid: int) -> None:
    """Wait until a process that is not our child has ended; it fails after ten seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 10.0)[0], f"process {pid} lives on"
    finally:
        os.close(handle)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_is_killed_ends_its_compiler_and_the_next_one_succeeds(
    home: Path, go: Path, tool: Tool, how: signal.Signals
) -> None:
    driver, compiler = start_build_that_hangs(home)
    driver.send_signal(how)
    assert driver.wait(20) != 0
    await_end(compiler)
    store = Store(home / "tools")
    assert store.find("widget", "d1")[0] is None
    artefact = store.make(
        "widget", "1.2.3", "d1",
        lambda folder: build_with_go(tool, folder, go=go, go_folder=home / "go", progress=print),
        progress=print,
    )  # fmt: skip
    assert probe_version(artefact.paths["hms-test-widget"], PROBE) == "1.2.3"
    assert sorted(path.name for path in store.root.iterdir()) == ["widget-d1", "widget-d1.lock"]
