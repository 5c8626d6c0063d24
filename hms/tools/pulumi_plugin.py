"""Pulumi's plugins: Pulumi itself looks for them in its home, under the name of kind, tool and version.

A plugin on the path works as well, but then Pulumi warns about it at every call; in its home it is as if
`pulumi plugin install` had put it there.
"""

import os
import shutil
import tempfile
from pathlib import Path

from hms.errors import ToolError
from hms.tools.catalogue import Tool
from hms.tools.machine import MachineSearch, OnMachine
from hms.tools.store import Artefact

MARKER = "installed-by-hms"
"""Lies beside a plugin that we put there, so that it is told from one that `pulumi plugin install` put there."""


def plugin_folder(tool: Tool) -> Path:
    """Return the folder in which Pulumi looks for this plugin."""
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    return home / "plugins" / f"{tool.plugin}-v{tool.version}"


def search_plugin(tool: Tool, artefact: Artefact | None) -> MachineSearch:
    """Say whether Pulumi's home has the plugin from elsewhere; the copy of our artefact does not count."""
    binary = plugin_folder(tool) / tool.commands[0]
    if not binary.exists():
        return MachineSearch(None, ())
    if not os.access(binary, os.X_OK) or binary.stat().st_size == 0:
        return MachineSearch(None, (f"{binary}: not executable or empty",))
    if (plugin_folder(tool) / MARKER).exists() or (artefact and binary.samefile(artefact.paths[tool.commands[0]])):
        return MachineSearch(None, ())
    return MachineSearch(OnMachine(tool.version, {tool.commands[0]: binary}), ())


def place_plugin(tool: Tool, artefact: Artefact) -> Path:
    """Put the artefact's plugin into Pulumi's home, if it is not there already, and return its path."""
    source = artefact.paths[tool.commands[0]]
    folder = plugin_folder(tool)
    placed = folder / tool.commands[0]
    if _in_place(placed, source):
        return placed
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh = partial / "fresh"
        fresh.mkdir(mode=0o755)
        try:
            (fresh / source.name).hardlink_to(source)
        except OSError:  # another file system
            shutil.copy2(source, fresh / source.name)
        (fresh / MARKER).write_text(f"{source}\n")
        if folder.exists():
            # Moved aside and not removed first: a Pulumi that starts meanwhile misses it as briefly as can be.
            folder.rename(partial / "former")
        fresh.rename(folder)
    except OSError as error:
        # Another process of ours may have put the same plugin there between our two renames.
        if not _in_place(placed, source):
            raise ToolError(f"{folder}: the plugin could not be put there: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return placed


def _in_place(placed: Path, source: Path) -> bool:
    """Say whether `placed` is whole and came from `source`, whose folder bears the pin's digest."""
    try:
        marked = (placed.parent / MARKER).read_text() == f"{source}\n"
        return marked and placed.stat().st_size == source.stat().st_size
    except OSError:
        return False
