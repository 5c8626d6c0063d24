import hashlib
import os
from collections.abc import Collection
from pathlib import Path

import msgspec
import pytest

import hms.tools.install
from hms.errors import ToolError
from hms.tools.catalogue import Download, GoBuild, Tool, catalogue
from hms.tools.install import Progress, Standing, missing_error
from tests.tools.conftest import Publisher, command_bytes, make_installer, make_tool, write_command, write_module

BUILD = (GoBuild(folder="widget", package=".", binary="hms-test-widget"),)


def published(publisher: Publisher, version: str = "1.2.3") -> Download:
    content = command_bytes(version)
    publisher.files["/hms-test-widget"] = content
    publisher.files["/hms-test-widget.sha256"] = hashlib.sha256(content).hexdigest().encode()
    return Download(urls=(f"{publisher.url}/hms-test-widget",), checksum="{url}.sha256")


def compiler(go: Path) -> Tool:
    """Return the pin of Go, found where the machine has it."""
    return msgspec.structs.replace(catalogue().tools["go"], directories=(str(go.resolve().parent),))


def only(standings: list[Standing]) -> Standing:
    (standing,) = standings
    return standing


def test_the_machine_comes_first(home: Path, go: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    write_command(home / "bin" / "hms-test-widget", "1.9.0")
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    write_module(home)
    tool = make_tool(download=(published(publisher),), go=BUILD)
    standing = only(make_installer(home, tool, compiler(go)).install([tool]))
    assert (standing.origin, standing.version) == ("machine", "1.9.0")
    assert publisher.asked == []


def test_the_download_comes_second_and_only_once(
    home: Path, go: Path, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command(home / "bin" / "hms-test-widget", "2.0.0")
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    write_module(home)
    tool = make_tool(download=(published(publisher),), go=BUILD)
    able = make_installer(home, tool, compiler(go))
    standing = only(able.install([tool]))
    assert (standing.origin, standing.version) == ("download", "1.2.3")
    assert standing.notes == (f"{home}/bin/hms-test-widget: version 2.0.0 is not >=1.2,<2",)
    assert only(able.install([tool])).paths == standing.paths
    assert publisher.asked == ["/hms-test-widget.sha256", "/hms-test-widget"]


def test_the_build_comes_last_and_says_why(home: Path, go: Path, publisher: Publisher) -> None:
    write_module(home)
    gone = Download(urls=(f"{publisher.url}/gone",), checksum="{url}.sha256")
    tool = make_tool(download=(gone,), go=BUILD)
    standing = only(make_installer(home, tool, compiler(go)).install([tool]))
    assert standing.origin == "built"
    assert standing.notes == (f"{publisher.url}/gone.sha256: status 404",)


def test_one_build_yields_another_tool_s_command_too(home: Path, go: Path) -> None:
    write_module(home)
    build = GoBuild(folder="widget", package=".", binary="hms-test-widget", aliases=("hms-test-side",))
    tool = make_tool(go=(build,))
    side = make_tool("side", built_with="widget")
    able = make_installer(home, tool, side, compiler(go))
    assert only(able.install([side])).origin == "built"
    assert only(able.survey([tool])).origin == "built"


def test_what_tells_another_version_than_pinned_is_not_kept(home: Path, publisher: Publisher) -> None:
    tool = make_tool(download=(published(publisher, "6.6.6"),))
    standing = only(make_installer(home, tool).install([tool]))
    assert not standing.installed
    assert standing.notes[-1].endswith("tells version 6.6.6, pinned is 1.2.3")


def test_a_damaged_tool_is_named_by_the_survey_and_made_anew_by_the_install(home: Path, publisher: Publisher) -> None:
    tool = make_tool(download=(published(publisher),))
    able = make_installer(home, tool)
    (path,) = only(able.install([tool])).paths.values()
    path.write_bytes(b"#!")
    survey = only(able.survey([tool]))
    assert not survey.installed
    assert "2 bytes of" in survey.notes[-1]
    assert only(able.install([tool])).origin == "download"
    assert path.read_bytes() == command_bytes("1.2.3")


def test_without_go_the_way_out_is_told(home: Path) -> None:
    write_module(home)
    tool = make_tool(go=BUILD)
    absent = msgspec.structs.replace(
        catalogue().tools["go"], commands=("hms-test-no-go",), directories=(str(home),), download=()
    )
    standing = only(make_installer(home, tool, absent).install([tool]))
    assert not standing.installed
    assert "a build needs it in a version >=1.26.4" in standing.notes[-1]
    assert "https://go.dev/dl" in standing.notes[-1]


def test_packages_are_installed_in_one_go_and_then_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def install_packages(packages: Collection[str], *, progress: Progress) -> None:
        asked.append(set(packages))
        write_command(home / "bin" / "hms-test-one", "1.5.0")

    monkeypatch.setattr(hms.tools.install, "install_packages", install_packages)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    one, two = make_tool("one", debian=("package-one",)), make_tool("two", debian=("package-two",))
    first, second = make_installer(home, one, two).install([one, two])
    assert asked == [{"package-one", "package-two"}]
    assert (first.origin, first.version) == ("apt", "1.5.0")
    assert not second.installed
    assert second.notes == ("the package does not have it in a version that serves",)


def test_all_that_could_not_be_had_is_told_at_once(home: Path, publisher: Publisher) -> None:
    gone = Download(urls=(f"{publisher.url}/gone",), checksum="{url}.sha256")
    one, two = make_tool("one", download=(gone,)), make_tool("two", download=(gone,))
    error = missing_error(make_installer(home, one, two).install([one, two]))
    assert isinstance(error, ToolError)
    assert error.message.startswith("2 tools could not be had:")
    assert error.message.count("status 404") == 2
    assert "hms tools --list" in error.remedy
