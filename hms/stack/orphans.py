"""Plugins of a pulumi that was killed: they do not notice, so the next run ends them."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PLUGINS: Final = ("pulumi-resource", "pulumi-language")
"""How the kernel shows their names, which it cuts at 15 letters."""


def end_orphans(backend_url: str) -> list[int]:
    """End the plugins that were started for this backend and have no pulumi above them; return their process ids."""
    ended = []
    for process in _orphans(backend_url):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(int(process.name), signal.SIGTERM)
            ended.append(int(process.name))
    return ended


def _orphans(backend_url: str) -> Iterator[Path]:
    wanted = f"PULUMI_BACKEND_URL={backend_url}".encode()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        # A process that ends while it is looked at, or is another user's, is none of ours.
        with suppress(OSError):
            if (
                _name(process).startswith(_PLUGINS)
                and wanted in (process / "environ").read_bytes().split(b"\0")
                and not _name(_parent(process)).startswith("pulumi")
            ):
                yield process


def _name(process: Path) -> str:
    return (process / "comm").read_text().strip()


def _parent(process: Path) -> Path:
    status = (process / "status").read_text()
    parent = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
    return process.with_name(parent)
