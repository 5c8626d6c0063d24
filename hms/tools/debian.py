"""Install Debian and Ubuntu packages with apt-get, as an administrator would."""

import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from hms.errors import ToolError
from hms.tools.process import run_watched

LOCK_SECONDS = 300
"""How long apt-get waits for another package manager to finish."""


def install_packages(packages: Collection[str], *, progress: Callable[[str], None]) -> None:
    """Install `packages`; `ToolError` says what stands in the way and what to type instead."""
    names = sorted(packages)
    by_hand = f"Install them by hand: apt-get install {' '.join(names)}"
    if shutil.which("apt-get") is None:
        raise ToolError(
            f"packages {', '.join(names)}: this machine has no apt-get", remedy="Install their like by hand."
        )
    if os.geteuid() != 0:
        raise ToolError(f"packages {', '.join(names)}: only root can install them", remedy=by_hand)
    progress(f"apt-get install {' '.join(names)}")
    try:
        _apt_get("install", "--yes", "--no-install-recommends", *names, progress=progress)
    except ToolError:
        # A fresh machine has no package lists yet, and old lists name versions that are gone.
        try:
            _apt_get("update", progress=progress)
            _apt_get("install", "--yes", "--no-install-recommends", *names, progress=progress)
        except ToolError as error:
            raise ToolError(error.message, remedy=by_hand) from error


def _apt_get(*arguments: str, progress: Callable[[str], None]) -> None:
    run_watched(
        ["apt-get", "--quiet", "--option", f"DPkg::Lock::Timeout={LOCK_SECONDS}", *arguments],
        directory=Path("/"),
        environment={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        on_line=_ignore,
        on_tick=lambda seconds: progress(f"apt-get {arguments[0]}: {seconds:.0f} s"),
    )


def _ignore(line: str) -> None:
    """Drop a line of apt-get's; on failure the last ones are shown."""
