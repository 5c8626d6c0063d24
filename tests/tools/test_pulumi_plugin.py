from pathlib import Path

import msgspec
import pytest

from hms.tools.catalogue import Tool
from hms.tools.pulumi_plugin import place_plugin, plugin_folder, search_plugin
from hms.tools.store import Artefact, Made, Store
from tests.tools.conftest import make_tool, write_command

COMMAND = "pulumi-resource-widget"


@pytest.fixture
def tool() -> Tool:
    return msgspec.structs.replace(make_tool(commands=(COMMAND,)), plugin="resource-widget", probe=None)


@pytest.fixture
def artefact(home: Path) -> Artefact:
    def maker(folder: Path) -> Made:
        write_command(folder / "bin" / COMMAND, "1.2.3")
        return Made("built", "a test", 0.0, {COMMAND: f"bin/{COMMAND}"})

    return Store(home / "tools").make("widget", "1.2.3", "d1", maker, progress=print)


def test_a_plugin_lands_where_pulumi_looks_for_it(home: Path, tool: Tool, artefact: Artefact) -> None:
    placed = place_plugin(tool, artefact)
    assert placed == home / "pulumi" / "plugins" / "resource-widget-v1.2.3" / COMMAND
    assert placed.read_bytes() == artefact.paths[COMMAND].read_bytes()
    before = placed.stat()
    assert place_plugin(tool, artefact).stat() == before
    assert [path.name for path in (home / "pulumi" / "plugins").iterdir()] == ["resource-widget-v1.2.3"]


def test_a_broken_copy_is_replaced(tool: Tool, artefact: Artefact) -> None:
    placed = place_plugin(tool, artefact)
    placed.unlink()
    placed.write_bytes(b"half")
    assert place_plugin(tool, artefact).read_bytes() == artefact.paths[COMMAND].read_bytes()


def test_ours_is_told_from_one_that_pulumi_installed(tool: Tool, artefact: Artefact) -> None:
    assert search_plugin(tool, artefact).found is None
    place_plugin(tool, artefact)
    assert search_plugin(tool, artefact).found is None
    assert search_plugin(tool, None).found is None

    (plugin_folder(tool) / "installed-by-hms").unlink()
    (plugin_folder(tool) / COMMAND).unlink()
    write_command(plugin_folder(tool) / COMMAND, "1.2.3")
    found = search_plugin(tool, artefact).found
    assert found is not None
    assert (found.version, found.paths) == ("1.2.3", {COMMAND: plugin_folder(tool) / COMMAND})


def test_an_empty_plugin_is_passed_over(tool: Tool) -> None:
    plugin_folder(tool).mkdir(parents=True)
    (plugin_folder(tool) / COMMAND).touch(mode=0o755)
    search = search_plugin(tool, None)
    assert search.found is None
    assert search.passed_over == (f"{plugin_folder(tool) / COMMAND}: not executable or empty",)
