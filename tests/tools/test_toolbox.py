import os
from pathlib import Path

import pytest

from hms.errors import ToolError
from hms.paths import tools_bin
from hms.tools.install import Standing, toolbox
from hms.tools.toolbox import link_commands
from tests.tools.conftest import make_tool, write_command


def standing(path: Path, name: str = "widget") -> Standing:
    return Standing(make_tool(name), "1.2.3", "machine", {path.name: path})


def test_a_toolbox_finds_commands_and_puts_its_folder_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_command(home / "bin" / "hms-test-widget", "1.2.3")
    box = toolbox([standing(path)])
    assert box.path("hms-test-widget") == tools_bin() / "hms-test-widget"
    assert box.path("hms-test-widget").resolve() == path
    assert box.versions() == {"widget": "1.2.3"}
    monkeypatch.setenv("PATH", f"/usr/bin:{tools_bin()}:/bin")
    assert box.environment()["PATH"].split(os.pathsep) == [str(tools_bin()), "/usr/bin", "/bin"]
    with pytest.raises(ToolError, match="'helm': not among hms-test-widget"):
        box.path("helm")


def test_what_is_there_is_linked_even_if_something_is_missing(home: Path) -> None:
    path = write_command(home / "bin" / "hms-test-widget", "1.2.3")
    with pytest.raises(ToolError, match=r"1 tool could not be had:\n  - gadget 1\.2\.3\n      why not"):
        toolbox([standing(path), Standing(make_tool("gadget"), notes=("why not",))])
    assert (tools_bin() / "hms-test-widget").resolve() == path


def test_a_link_follows_its_tool_and_a_plain_file_in_its_way_is_replaced(home: Path) -> None:
    old, new = (write_command(home / name / "widget", "1.2.3") for name in ("old", "new"))
    folder = home / "links"
    write_command(folder / "widget", "9.9.9")
    for path in (old, new, new):
        link_commands({"widget": path}, folder)
        assert (folder / "widget").readlink() == path
    assert [path.name for path in folder.iterdir()] == ["widget"]


def test_plugins_and_commands_in_folders_of_their_own_are_not_put_on_the_path(home: Path) -> None:
    path = write_command(home / "cni" / "bridge", "1.2.3")
    tool = make_tool("cni", commands=("bridge",), directories=(str(path.parent),))
    box = toolbox([Standing(tool, "1.2.3", "machine", {"bridge": path})])
    assert box.path("bridge") == path
    assert not (tools_bin() / "bridge").exists()
