"""The tools at hand: a path for each command, and the environment in which programs find them."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hms.errors import ToolError
from hms.paths import tools_bin


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Commands that are installed, by name; the folder `bin` holds a link to each that belongs on the path.

    `tools` has the version of each tool by the tool's name.
    """

    paths: Mapping[str, Path]
    bin: Path
    tools: Mapping[str, str]

    def path(self, name: str) -> Path:
        """Return the path of the command `name`; `ToolError` if it was not asked for."""
        if name not in self.paths:
            raise ToolError(f"command {name!r}: not among {', '.join(sorted(self.paths))}")
        return self.paths[name]

    def versions(self) -> dict[str, str]:
        """Return the version of each tool, by the tool's name."""
        return dict(self.tools)

    def environment(self) -> dict[str, str]:
        """Return what to add to a process' environment: the path with our folder first, and quiet tools."""
        rest = [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != str(self.bin)]
        return {"PATH": os.pathsep.join([str(self.bin), *rest]), "PULUMI_SKIP_UPDATE_CHECK": "true"}


def link_commands(paths: Mapping[str, Path], folder: Path | None = None) -> Path:
    """Make `folder` (by default `tools_bin()`) hold a link to each path under its command's name, and return it.

    Each link is swapped in by a rename: a process that looks a command up meanwhile finds the old or the new one.
    """
    target = tools_bin() if folder is None else folder
    target.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        link = target / name
        if link.is_symlink() and link.readlink() == path:
            continue
        with tempfile.TemporaryDirectory(dir=target, prefix=".link-") as scratch:
            fresh = Path(scratch) / name
            fresh.symlink_to(path)
            fresh.replace(link)
    return target
