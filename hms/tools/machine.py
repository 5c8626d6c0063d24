"""What the machine has: the commands on its path and Pulumi's plugins, with their versions."""

import os
import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hms.paths import tools_bin
from hms.tools.catalogue import Probe, Tool
from hms.tools.version import Range

PROBE_SECONDS = 30.0

_PT_INTERP = 3

# A user's path often lacks them, and a server's daemons live there.
_SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True, slots=True)
class OnMachine:
    """A tool that the machine has in a version that serves."""

    version: str
    paths: dict[str, Path]


@dataclass(frozen=True, slots=True)
class MachineSearch:
    """What a search of the machine found, and what it passed over with the reason, a line each."""

    found: OnMachine | None
    passed_over: tuple[str, ...]


def search_machine(tool: Tool) -> MachineSearch:
    """Look for `tool` where the machine keeps commands; what we made ourselves does not count."""
    passed_over: list[str] = []
    for name, accepts, probe in _candidates(tool):
        for path in _executables(name, tool.directories):
            version = probe_version(path, probe)
            if not version:
                passed_over.append(f"{path}: tells no version")
            elif not Range.parse(accepts).accepts(version):
                passed_over.append(f"{path}: version {version} is not {accepts}")
            elif tool.static and not is_static(path):
                passed_over.append(f"{path}: needs libraries, and it must not")
            elif missing := [other for other in _companions(tool, name) if _beside(other, path) is None]:
                passed_over.append(f"{path}: {', '.join(missing)} is not beside it")
            else:
                paths = {name: path}
                for other in _companions(tool, name):
                    if beside := _beside(other, path):
                        paths[other] = beside
                return MachineSearch(OnMachine(version, paths), tuple(passed_over))
    return MachineSearch(None, tuple(passed_over))


def probe_version(path: Path, probe: Probe) -> str:
    """Ask the command at `path` for its version; empty if it does not say one."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true", **probe.environment}
    try:
        done = subprocess.run(
            [str(path), *probe.arguments],
            capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS, check=False,
            stdin=subprocess.DEVNULL, env=environment, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(probe.pattern, f"{done.stdout}\n{done.stderr}", re.MULTILINE)
    return match[1] if match else ""


def is_static(path: Path) -> bool:
    """Say whether an ELF binary asks for no dynamic loader, by its program headers (64 bits, little-endian)."""
    with path.open("rb") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            return False
        offset, size, count = struct.unpack_from("<32xQ14xHH", header)
        file.seek(offset)
        table = file.read(size * count)
    return all(struct.unpack_from("<I", table, size * n)[0] != _PT_INTERP for n in range(count))


def _candidates(tool: Tool) -> Iterator[tuple[str, str, Probe]]:
    if tool.probe is not None:
        yield tool.commands[0], tool.accepts, tool.probe
    for instead in tool.instead:
        yield instead.command, instead.accepts, instead.probe


def _companions(tool: Tool, name: str) -> tuple[str, ...]:
    return tool.commands[1:] if name == tool.commands[0] else ()


def _executables(name: str, directories: tuple[str, ...]) -> Iterator[Path]:
    """Yield each executable of that name, in the path's order, without our own links and without repeats."""
    searched = directories or (*os.environ.get("PATH", "").split(os.pathsep), *_SYSTEM_DIRECTORIES)
    seen: set[Path] = set()
    for directory in searched:
        if not os.path.isabs(directory) or Path(directory) == tools_bin():
            continue
        path = Path(directory) / name
        if path.is_file() and os.access(path, os.X_OK) and path.resolve() not in seen:
            seen.add(path.resolve())
            yield path


def _beside(name: str, path: Path) -> Path | None:
    """Return the command `name` that lies beside `path`, or beside what `path` is a link to."""
    for directory in (path.parent, path.resolve().parent):
        if os.access(directory / name, os.X_OK):
            return directory / name
    return None
