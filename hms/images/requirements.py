"""What a dependency group needs, read from `uv.lock`: exact versions with the hashes of their files.

The same as `uv export --only-group`, without needing uv where a stack is provisioned.
"""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from packaging.markers import Marker

from hms.errors import ImageError

Package = Mapping[str, Any]

ENVIRONMENT = {
    "implementation_name": "cpython",
    "implementation_version": "3.13.5",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.13.5",
    "python_version": "3.13",
    "sys_platform": "linux",
}
"""Debian trixie's Python: fixed, so that a digest does not depend on the machine that computes it."""


class _Lock:
    """The packages of a lock file by name; the project itself is the one with dependency groups."""

    def __init__(self, text: str) -> None:
        self._packages: dict[str, list[Package]] = {}
        self.groups: Mapping[str, list[Package]] = {}
        for package in tomllib.loads(text).get("package", []):
            self._packages.setdefault(package["name"], []).append(package)
            self.groups = package.get("dev-dependencies", self.groups)

    def find(self, wanted: Package) -> Package:
        candidates = [
            p for p in self._packages.get(wanted["name"], []) if wanted.get("version", p["version"]) == p["version"]
        ]
        if len(candidates) != 1:
            raise ImageError(
                f"uv.lock: {len(candidates)} entries for {wanted['name']!r}, expected 1", remedy="Run `uv lock`."
            )
        return candidates[0]


def _applies(dependency: Package) -> bool:
    return "marker" not in dependency or Marker(dependency["marker"]).evaluate(ENVIRONMENT)


def _closure(lock: _Lock, roots: Iterable[Package]) -> dict[str, Package]:
    found: dict[str, Package] = {}
    expanded: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        dependency = waiting.pop()
        if not _applies(dependency):
            continue
        package = lock.find(dependency)
        found[package["name"]] = package
        for extra in ("", *dependency.get("extra", ())):
            if (package["name"], extra) in expanded:
                continue
            expanded.add((package["name"], extra))
            more = package.get("optional-dependencies", {}).get(extra, []) if extra else package.get("dependencies", [])
            waiting.extend(more)
    return found


@cache
def requirements(lock_text: str, group: str) -> str:
    """Return the requirements of `group` as pip reads them, sorted, every package with its hashes.

    `ImageError` if the lock has no such group, or a package of it has no file to install.
    """
    lock = _Lock(lock_text)
    if group not in lock.groups:
        raise ImageError(f"uv.lock: no dependency group {group!r}", remedy="Add it to pyproject.toml, then `uv lock`.")
    lines = []
    for name, package in sorted(_closure(lock, lock.groups[group]).items()):
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        hashes = sorted(file["hash"] for file in files)
        if not hashes:
            raise ImageError(f"uv.lock: {name} {package['version']} has no files with hashes", remedy="Run `uv lock`.")
        lines.append(" \\\n".join([f"{name}=={package['version']}", *(f"    --hash={value}" for value in hashes)]))
    return "\n".join(lines) + "\n"
