"""Have the tools: what the machine has, else the ordinary installation, else a build from pinned Go modules."""

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from hms.errors import ToolError
from hms.paths import cache_home
from hms.tools.catalogue import ON_DEMAND, Catalogue, Tool, catalogue
from hms.tools.debian import install_packages
from hms.tools.download import Network, download_tool, network
from hms.tools.gobuild import build_with_go
from hms.tools.machine import probe_version, search_machine
from hms.tools.pulumi_plugin import place_plugin, search_plugin
from hms.tools.store import Artefact, Made, Store
from hms.tools.toolbox import Toolbox, link_commands

Origin = Literal["machine", "download", "built", "apt"]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one tool on this machine.

    `origin` and `version` are empty while it is missing; `notes` say what was passed over, what is damaged and which
    ways failed.
    """

    tool: Tool
    version: str = ""
    origin: Origin | Literal[""] = ""
    paths: dict[str, Path] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Say whether the tool is there and serves."""
        return bool(self.origin)

    @property
    def on_demand(self) -> bool:
        """Say whether the tool is needed only by a build or by the tests."""
        return ON_DEMAND.issuperset(self.tool.groups)


@dataclass(frozen=True, slots=True)
class Installer:
    """Surveys and installs the tools of one catalogue into one store."""

    pins: Catalogue
    store: Store
    way_out: Network
    progress: Progress

    def survey(self, tools: Iterable[Tool], *, thorough: bool = False) -> list[Standing]:
        """Say for each tool how it stands; nothing is installed."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda tool: self._survey(tool, thorough=thorough), tools))

    def install(self, tools: Iterable[Tool], *, thorough: bool = False) -> list[Standing]:
        """Install what is missing and return how it stands then; what could not be had is left missing, with why."""
        standings = self.survey(tools, thorough=thorough)
        standings = self._with_packages(standings)
        done = []
        for standing in standings:
            if standing.installed or standing.tool.debian:
                done.append(self._placed(standing))
                continue
            done.append(self._made(standing, thorough=thorough))
        return done

    def _survey(self, tool: Tool, *, thorough: bool) -> Standing:
        maker = self._maker(tool)
        artefact, damage = self.store.find(tool.name, self.pins.digest(tool), thorough=thorough)
        if artefact is None and maker is not tool:
            artefact, damage = self.store.find(maker.name, self.pins.digest(maker), thorough=thorough)
        search = search_plugin(tool, artefact) if tool.plugin else search_machine(tool)
        if search.found is not None:
            return Standing(tool, search.found.version, "machine", search.found.paths, search.passed_over)
        if artefact is not None and all(command in artefact.paths for command in tool.commands):
            return self._standing(tool, artefact, search.passed_over)
        return Standing(tool, notes=(*search.passed_over, damage) if damage else search.passed_over)

    def _maker(self, tool: Tool) -> Tool:
        return self.pins.tools[tool.built_with] if tool.built_with else tool

    @staticmethod
    def _standing(tool: Tool, artefact: Artefact, notes: tuple[str, ...]) -> Standing:
        paths = {command: artefact.paths[command] for command in tool.commands}
        return Standing(tool, artefact.record.version, artefact.record.origin, paths, notes)

    def _placed(self, standing: Standing) -> Standing:
        """Give Pulumi a plugin that lies in our store."""
        tool = standing.tool
        if not tool.plugin or standing.origin in ("", "machine"):
            return standing
        artefact, _ = self.store.find(tool.name, self.pins.digest(tool))
        if artefact is None:
            raise ToolError(f"{tool.name}: it went away while it was being installed", remedy="Run the command again.")
        placed = place_plugin(tool, artefact)
        return Standing(tool, standing.version, standing.origin, {tool.commands[0]: placed}, standing.notes)

    def _with_packages(self, standings: list[Standing]) -> list[Standing]:
        """Install all missing packages in one go, and look again."""
        missing = {package for s in standings if not s.installed for package in s.tool.debian}
        if not missing:
            return standings
        failure = ""
        try:
            install_packages(missing, progress=self.progress)
        except ToolError as error:
            failure = str(error)
        result = []
        for standing in standings:
            if standing.installed or not standing.tool.debian:
                result.append(standing)
                continue
            again = self._survey(standing.tool, thorough=False)
            if again.installed:
                result.append(Standing(again.tool, again.version, "apt", again.paths, again.notes))
            else:
                notes = (*again.notes, failure or "the package does not have it in a version that serves")
                result.append(Standing(again.tool, notes=notes))
        return result

    def _made(self, standing: Standing, *, thorough: bool) -> Standing:
        """Download the tool, else build it."""
        tool, notes = standing.tool, list(standing.notes)
        for download in tool.download:
            fetch = partial(download_tool, tool, download, way_out=self.way_out, progress=self.progress)
            try:
                artefact = self._make(tool, tool, fetch, thorough=thorough)
            except ToolError as error:
                notes.append(error.message)
                self.progress(f"{tool.name}: not downloaded: {error.message}")
            else:
                return self._placed(self._standing(tool, artefact, tuple(notes)))
        maker = self._maker(tool)
        if not maker.go:
            return Standing(tool, notes=tuple(notes))
        try:
            go = self._go()
            build = partial(build_with_go, maker, go=go, go_folder=self.pins.go_folder, progress=self.progress)
            artefact = self._make(maker, tool, build, thorough=thorough)
        except ToolError as error:
            return Standing(tool, notes=(*notes, str(error)))
        return self._placed(self._standing(tool, artefact, tuple(notes)))

    def _make(self, maker: Tool, tool: Tool, make: Callable[[Path], Made], *, thorough: bool) -> Artefact:
        """Make `maker`'s folder of the store; what was made must say that it is the pinned version of `tool`."""

        def checked(folder: Path) -> Made:
            made = make(folder)
            if tool.probe is not None:
                version = probe_version(folder / made.commands[tool.commands[0]], tool.probe)
                if version != tool.version:
                    seen = version or "none"
                    raise ToolError(f"{tool.name}: {made.source}: tells version {seen}, pinned is {tool.version}")
            return made

        return self.store.make(
            maker.name,
            maker.version,
            self.pins.digest(maker),
            checked,
            progress=self.progress,
            thorough=thorough,
        )

    def _go(self) -> Path:
        """Return the Go command, installed if need be; `ToolError` with the way out if it cannot be had."""
        if "go" not in self.pins.tools:
            raise ToolError("go: the pins do not name it, and a build needs it")
        tool = self.pins.tools["go"]
        (standing,) = self.install([tool])
        if not standing.installed:
            reasons = "; ".join(standing.notes) or "there is none on the path"
            raise ToolError(
                f"go: a build needs it in a version {tool.accepts}, and it could not be had: {reasons}",
                remedy=f"Install Go {tool.version} (https://go.dev/dl) so that `go` is on the path.",
            )
        return standing.paths["go"]


def installer(progress: Progress) -> Installer:
    """Return the installer of the checkout's pins into the user's cache."""
    return Installer(catalogue(), Store(cache_home() / "tools"), network(), progress)


def ensure(names: Collection[str], *, progress: Progress) -> Toolbox:
    """Return the tools of those names, installed where they were missing.

    `ToolError` names every one that could not be had, and why; those that could be had are installed nevertheless.
    """
    able = installer(progress)
    return toolbox(able.install(able.pins.select(names)))


def toolbox(standings: Collection[Standing]) -> Toolbox:
    """Link the commands of installed tools and return them; `ToolError` if any is missing."""
    linked = {name: path for s in standings if s.tool.linked for name, path in s.paths.items()}
    folder = link_commands(linked)
    if missing := [standing for standing in standings if not standing.installed]:
        raise missing_error(missing)
    every = {name: path for standing in standings for name, path in standing.paths.items()}
    versions = {standing.tool.name: standing.version for standing in standings}
    return Toolbox(every | {name: folder / name for name in linked}, folder, versions)


def missing_error(missing: Collection[Standing]) -> ToolError:
    """Return the error that names every missing tool and why it could not be had."""
    lines = []
    for standing in missing:
        lines.append(f"\n  - {standing.tool.name} {standing.tool.version}")
        lines += [f"\n      {line}" for note in standing.notes for line in note.splitlines()]
    count = "1 tool" if len(missing) == 1 else f"{len(missing)} tools"
    return ToolError(
        f"{count} could not be had:{''.join(lines)}",
        remedy="Put each on the path in a version that serves (`hms tools --list` shows which), then try again.",
    )
