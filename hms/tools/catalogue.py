"""The pins: every outside tool as `tools/tools.toml` states it."""

import hashlib
import platform
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from hms.errors import InvalidSpecError, ToolError, UsageError
from hms.paths import project_root
from hms.tools.version import Range

Group = Literal["stack", "cluster", "images", "build", "tests"]
ON_DEMAND: frozenset[Group] = frozenset({"build", "tests"})
"""Groups whose tools are had only when they are asked for."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a command is asked for its version: its arguments, and the pattern whose first group is the version."""

    arguments: tuple[str, ...]
    pattern: str
    environment: dict[str, str] = {}


class Instead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another command that serves as well, if the machine has it and it answers; it is never installed."""

    command: str
    accepts: str
    probe: Probe


class Download(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ordinary download: files over https, each with the publisher's SHA-256.

    Without `members` a URL's last part is the command. `members` are the commands' paths in a tar archive; with `tree`
    all that lies under that folder of the archive is kept, and members are relative to it.
    """

    urls: tuple[str, ...]
    checksum: str
    architectures: dict[str, str] = {}
    members: dict[str, str] = {}
    tree: str = ""

    def files(self, architecture: str) -> Iterator[tuple[str, str]]:
        """Yield the URL and the checksum's URL of each file for this architecture (`amd64` or `arm64`)."""
        arch = self.architectures.get(architecture, architecture)
        for template in self.urls:
            url = template.replace("{arch}", arch)
            yield url, self.checksum.replace("{url}", url).replace("{arch}", arch)


class ModuleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a Go module that the pin's go.sum names."""

    module: str
    path: str


class GoBuild(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `go build`: a package in the module of `tools/go/<folder>`.

    `stamps` are the linker's `-X`; `aliases` are names under which the binary is called; `copies` are files of pinned
    modules that must lie beside it; `embeds` are such files that the package embeds under a name of its own folder.
    """

    folder: str
    package: str
    binary: str
    stamps: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    copies: dict[str, ModuleFile] = {}
    embeds: dict[str, ModuleFile] = {}


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One outside tool; see the head of `tools/tools.toml` for the fields.

    `built_with` names the tool whose build yields this one's commands, too. `plugin` is the name that Pulumi knows a
    plugin by. `static` says that the binary is put into an image from scratch and must need no library.
    """

    name: str
    purpose: str
    groups: tuple[Group, ...]
    version: str
    accepts: str
    commands: tuple[str, ...]
    probe: Probe | None = None
    directories: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()
    instead: tuple[Instead, ...] = ()
    download: tuple[Download, ...] = ()
    go: tuple[GoBuild, ...] = ()
    built_with: str = ""
    plugin: str = ""
    static: bool = False

    @property
    def linked(self) -> bool:
        """Say whether the commands belong on the path: not plugins, and not what lies in folders of its own."""
        return not self.plugin and not self.directories


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: Literal[1]
    tool: tuple[Tool, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All tools by name, and the folder that their Go modules lie in."""

    tools: dict[str, Tool]
    go_folder: Path

    @classmethod
    def load(cls, path: Path) -> "Catalogue":
        """Read the pins; `InvalidSpecError` has every problem that the file has, a line each."""
        try:
            file = msgspec.toml.decode(path.read_bytes(), type=_File)
        except msgspec.DecodeError as error:
            raise InvalidSpecError(str(path), [str(error)]) from error
        problems = [problem for tool in file.tool for problem in _problems(tool, file.tool)]
        names = [tool.name for tool in file.tool]
        problems += [
            f"{name}: stated {names.count(name)} times" for name in sorted(set(names)) if names.count(name) > 1
        ]
        if problems:
            raise InvalidSpecError(str(path), problems)
        return cls({tool.name: tool for tool in file.tool}, path.parent / "go")

    def group(self, group: Group) -> tuple[str, ...]:
        """Return the names of that group's tools, in the file's order."""
        return tuple(tool.name for tool in self.tools.values() if group in tool.groups)

    def select(self, names: Collection[str]) -> tuple[Tool, ...]:
        """Return the tools of those names in the file's order; `UsageError` names every unknown one."""
        unknown = sorted(set(names) - set(self.tools))
        if unknown:
            raise UsageError(
                f"tools: no {', '.join(repr(name) for name in unknown)}",
                remedy=f"Known are {', '.join(self.tools)}.",
            )
        return tuple(tool for tool in self.tools.values() if tool.name in names)

    def digest(self, tool: Tool) -> str:
        """Return 12 hex digits over all that decides what is made: the pin, its Go modules, the machine's kind."""
        decides = (tool.version, tool.commands, tool.download, tool.go)
        state = hashlib.sha256(msgspec.json.encode(decides, order="sorted"))
        state.update(platform.machine().encode())
        for build in tool.go:
            for file in sorted((self.go_folder / build.folder).iterdir()):
                content = file.read_bytes()
                state.update(f"\0{build.folder}/{file.name}\0{len(content)}\0".encode())
                state.update(content)
        return state.hexdigest()[:12]


def _problems(tool: Tool, tools: tuple[Tool, ...]) -> Iterator[str]:
    """Yield what is wrong with one tool's pin."""
    if not tool.commands:
        yield f"{tool.name}: commands is empty"
    if not (tool.debian or tool.download or tool.go or tool.built_with):
        yield f"{tool.name}: no way to have it: none of debian, download, go, built_with"
    if tool.built_with and tool.built_with not in {other.name for other in tools}:
        yield f"{tool.name}: built_with {tool.built_with!r} is no tool"
    for label, accepts in [(tool.name, tool.accepts), *((i.command, i.accepts) for i in tool.instead)]:
        try:
            accepted = Range.parse(accepts)
            if label == tool.name and not accepted.accepts(tool.version):
                yield f"{tool.name}: version {tool.version} is not in accepts {accepts}"
        except UsageError as error:
            yield f"{label}: {error.message}"
    for probe in [tool.probe, *(i.probe for i in tool.instead)]:
        try:
            groups = re.compile(probe.pattern).groups if probe else 1
        except re.error as error:
            yield f"{tool.name}: probe.pattern is no regular expression: {error}"
            continue
        if groups != 1:
            yield f"{tool.name}: probe.pattern has {groups} groups, and must have 1"
    for download in tool.download:
        if not all(
            url.startswith("https://") for url in (*download.urls, download.checksum.replace("{url}", "https://"))
        ):
            yield f"{tool.name}: a download's address does not begin with https://"
        had = set(download.members) or {url.rsplit("/", 1)[-1] for url in download.urls}
        if missing := set(tool.commands) - had:
            yield f"{tool.name}: a download lacks {', '.join(sorted(missing))}"


@cache
def catalogue() -> Catalogue:
    """Return the checkout's own pins."""
    return Catalogue.load(project_root() / "tools" / "tools.toml")


def architecture() -> str:
    """Return this machine's architecture as most publishers write it; `ToolError` where nothing is published."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise ToolError(
            f"machine {machine}: the tools are published for {' and '.join(_ARCHITECTURES)} only",
            remedy="Install the tools by hand and put them on the path.",
        )
    return _ARCHITECTURES[machine]


STACK_TOOLS = catalogue().group("stack")
IMAGE_TOOLS = catalogue().group("images")
CLUSTER_TOOLS = (*catalogue().group("cluster"), "kubectl")
ALL_TOOLS = (*STACK_TOOLS, *catalogue().group("cluster"), *IMAGE_TOOLS)
