import re
from pathlib import Path

import msgspec
import pytest

from hms.errors import InvalidSpecError, UsageError
from hms.paths import project_root
from hms.tools.catalogue import ALL_TOOLS, CLUSTER_TOOLS, IMAGE_TOOLS, STACK_TOOLS, Catalogue, GoBuild, catalogue
from hms.tools.version import Range
from tests.tools.conftest import make_tool, write_module


def test_the_pins_are_sound_and_in_groups() -> None:
    assert set(STACK_TOOLS) == {"pulumi", "pulumi-kubernetes", "kubectl"}
    assert {"kubernetes", "etcd", "containerd", "kubectl"} <= set(CLUSTER_TOOLS)
    assert {"buildah", "mmdebstrap"} == set(IMAGE_TOOLS)
    assert set(ALL_TOOLS) == set(catalogue().tools) - {"chromium", "go", "postgresql", "redis", "wrk"}


def test_pulumi_and_its_plugin_have_the_versions_of_their_python_packages() -> None:
    project = (project_root() / "pyproject.toml").read_text()
    for package in ("pulumi", "pulumi-kubernetes"):
        pinned = re.search(rf'"{package}==([\d.]+)"', project)
        assert pinned is not None
        assert catalogue().tools[package].version == pinned[1]


def test_every_go_module_is_used_and_every_used_one_is_there() -> None:
    there = {folder.name for folder in catalogue().go_folder.iterdir()}
    used = {build.folder for tool in catalogue().tools.values() for build in tool.go}
    assert there == used


def test_the_accepted_go_is_as_new_as_every_module_asks() -> None:
    accepted = Range.parse(catalogue().tools["go"].accepts)
    for module in catalogue().go_folder.glob("*/go.mod"):
        asked = re.search(r"^go (\S+)$", module.read_text(), re.MULTILINE)
        assert asked is not None
        assert Range.parse(f">={asked[1]}").accepts(".".join(map(str, accepted.conditions[0][1]))), module.parent.name


def test_a_broken_file_tells_every_problem_at_once(tmp_path: Path) -> None:
    path = tmp_path / "tools.toml"
    path.write_text(
        """
schema = 1
[[tool]]
name = "one"
purpose = "p"
groups = ["stack"]
version = "1.0"
accepts = ">=2"
commands = []
[[tool]]
name = "two"
purpose = "p"
groups = ["stack"]
version = "1.0"
accepts = "newest"
commands = ["two", "second"]
built_with = "three"
probe = { arguments = [], pattern = "no group" }
[[tool.download]]
urls = ["http://publisher.invalid/two"]
checksum = "{url}.sha256"
[[tool]]
name = "two"
purpose = "p"
groups = ["stack"]
version = "1.0"
accepts = ">=1"
commands = ["two"]
debian = ["two"]
"""
    )
    with pytest.raises(InvalidSpecError) as caught:
        Catalogue.load(path)
    told = "\n".join(caught.value.problems)
    for problem in (
        "one: commands is empty",
        "one: no way to have it",
        "one: version 1.0 is not in accepts >=2",
        "'newest' is not >=",
        "two: built_with 'three' is no tool",
        "probe.pattern has 0 groups",
        "does not begin with https://",
        "a download lacks second",
        "two: stated 2 times",
    ):
        assert problem in told


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tools.toml"
    path.write_text("schema = 1\ntools = []\n")
    with pytest.raises(InvalidSpecError, match="tools"):
        Catalogue.load(path)


def test_unknown_names_are_refused_together() -> None:
    with pytest.raises(UsageError, match="'helm', 'terraform'"):
        catalogue().select(["kubectl", "terraform", "helm"])


def test_the_digest_follows_what_decides_and_nothing_else(home: Path) -> None:
    write_module(home)
    tool = make_tool(go=(GoBuild(folder="widget", package=".", binary="hms-test-widget"),))
    pins = Catalogue({tool.name: tool}, home / "go")
    before = pins.digest(tool)
    assert pins.digest(msgspec.structs.replace(tool, purpose="another word", accepts=">=1")) == before
    assert pins.digest(msgspec.structs.replace(tool, version="1.2.4")) != before
    (home / "go" / "widget" / "go.sum").write_text("a module's sum\n")
    assert pins.digest(tool) != before
