import os
import sys
from pathlib import Path

import msgspec
import pytest

from hms.paths import tools_bin
from hms.tools.catalogue import Instead
from hms.tools.machine import is_static, probe_version, search_machine
from tests.tools.conftest import PROBE, make_tool, write_command


def put_first(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, folders), os.environ["PATH"]]))


def test_the_first_accepted_version_is_taken_and_the_others_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command(home / "old" / "hms-test-widget", "1.1.9")
    write_command(home / "good" / "hms-test-widget", "1.3.0")
    write_command(home / "later" / "hms-test-widget", "1.4.0")
    put_first(monkeypatch, home / "old", home / "good", home / "later")
    search = search_machine(make_tool())
    assert search.found is not None
    assert search.found.version == "1.3.0"
    assert search.found.paths == {"hms-test-widget": home / "good" / "hms-test-widget"}
    assert search.passed_over == (f"{home}/old/hms-test-widget: version 1.1.9 is not >=1.2,<2",)


def test_our_own_links_do_not_count_as_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    write_command(tools_bin() / "hms-test-widget", "1.3.0")
    put_first(monkeypatch, tools_bin())
    assert search_machine(make_tool()).found is None


def test_a_relative_part_of_the_path_is_not_trusted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_command(home / "here" / "hms-test-widget", "1.3.0")
    monkeypatch.chdir(home)
    put_first(monkeypatch, Path("here"))
    assert search_machine(make_tool()).found is None


def test_all_commands_must_lie_together(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_command(home / "half" / "hms-test-widget", "1.3.0")
    put_first(monkeypatch, home / "half")
    tool = make_tool(commands=("hms-test-widget", "hms-test-helper"))
    assert search_machine(tool).passed_over == (f"{home}/half/hms-test-widget: hms-test-helper is not beside it",)
    write_command(home / "half" / "hms-test-helper", "1.3.0")
    found = search_machine(tool).found
    assert found is not None
    assert set(found.paths) == {"hms-test-widget", "hms-test-helper"}


def test_another_command_that_answers_serves_instead(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_command(home / "bin" / "hms-test-other", "7.0.0")
    put_first(monkeypatch, home / "bin")
    instead = Instead(command="hms-test-other", accepts=">=7", probe=PROBE)
    found = search_machine(msgspec.structs.replace(make_tool(), instead=(instead,))).found
    assert found is not None
    assert list(found.paths) == ["hms-test-other"]


def test_a_command_that_needs_libraries_is_passed_over_where_it_must_not(home: Path) -> None:
    (home / "bin").mkdir()
    (home / "bin" / "hms-test-widget").symlink_to("/bin/sh")
    tool = msgspec.structs.replace(
        make_tool(directories=(str(home / "bin"),), static=True),
        probe=msgspec.structs.replace(PROBE, arguments=("-c", "echo version 1.2.3")),
    )
    assert search_machine(tool).passed_over == (f"{home}/bin/hms-test-widget: needs libraries, and it must not",)


def test_an_elf_file_is_told_from_a_script_and_by_its_loader(home: Path, go: Path) -> None:
    assert is_static(go) or go.read_bytes()[:4] == b"\x7fELF"
    assert not is_static(write_command(home / "script", "1.0.0"))
    assert not is_static(Path(sys.executable).resolve())


def test_a_command_that_cannot_be_run_tells_no_version(home: Path) -> None:
    broken = home / "broken"
    broken.write_bytes(b"\x7fELF, and then nothing")
    broken.chmod(0o755)
    assert probe_version(broken, PROBE) == ""
    assert probe_version(home / "absent", PROBE) == ""
