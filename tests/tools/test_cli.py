import json

import pytest
from click.testing import CliRunner

from hms.cli.tools import tools
from hms.errors import UsageError
from hms.paths import tools_bin
from hms.tools.catalogue import catalogue


def run(*arguments: str) -> str:
    result = CliRunner().invoke(tools, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_list_names_every_tool_and_installs_nothing() -> None:
    rows = json.loads(run("--list", "--json"))
    assert [row["name"] for row in rows] == list(catalogue().tools)
    for row in rows:
        assert set(row) == {"name", "purpose", "groups", "version", "wanted", "origin", "state", "path", "notes"}
        assert (row["state"] == "ready") == bool(row["origin"]) == bool(row["version"]) == bool(row["path"])
        assert row["origin"] in {"", "machine"}  # the cache of this test is empty
    assert not tools_bin().exists()


def test_a_tool_that_the_machine_has_is_linked() -> None:
    table = run("util-linux").splitlines()
    assert table[0].split() == ["TOOL", "VERSION", "WANTED", "FROM", "STATE", "PATH"]
    assert table[1].split()[0] == "util-linux"
    assert table[1].split()[3:5] == ["machine", "ready"]
    assert (tools_bin() / "nsenter").exists()


def test_a_group_is_its_tools() -> None:
    rows = json.loads(run("--list", "--json", "stack", "etcd"))
    assert [row["name"] for row in rows] == ["pulumi", "pulumi-kubernetes", "kubectl", "etcd"]


def test_the_folder_for_the_path_is_all_that_is_printed() -> None:
    assert run("--path") == f"{tools_bin()}\n"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no 'helm'") as caught:
        run("--list", "helm")
    assert "kubectl" in caught.value.remedy
    assert "Groups are stack, cluster, images, build, tests." in caught.value.remedy
