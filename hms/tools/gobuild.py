"""Build a tool from its pinned Go modules: the modules' sums are in the checkout, nothing else decides the result."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from hms.errors import ToolError
from hms.tools.catalogue import GoBuild, Tool
from hms.tools.process import run_watched
from hms.tools.store import Made

MINIMUM_FREE_BYTES = 6 * 1024**3
"""What the compiler's cache, the modules' sources and the binaries of the largest tool (Kubernetes) came to, twice."""

_DOWNLOADING = re.compile(r"go: downloading (\S+)")


def build_with_go(tool: Tool, folder: Path, *, go: Path, go_folder: Path, progress: Callable[[str], None]) -> Made:
    """Build all that `tool.go` names into `folder`; `ToolError` with the compiler's last lines if it fails."""
    started = time.monotonic()
    if (free := shutil.disk_usage(folder).free) < MINIMUM_FREE_BYTES:
        raise ToolError(
            f"{tool.name}: {free / 1024**3:.1f} GiB free in {folder.parent}, "
            f"a build needs {MINIMUM_FREE_BYTES / 1024**3:.0f}",
            remedy="Free some space, or set XDG_CACHE_HOME to a larger disk.",
        )
    commands: dict[str, str] = {}
    for build in tool.go:
        _build(tool, build, folder, go=go, go_folder=go_folder, progress=progress)
        for name in (build.binary, *build.aliases, *build.copies):
            commands[name] = f"bin/{name}"
    modules = ", ".join(build.folder for build in tool.go)
    return Made("built", f"Go modules of tools/go: {modules}", time.monotonic() - started, commands)


def _build(
    tool: Tool, build: GoBuild, folder: Path, *, go: Path, go_folder: Path, progress: Callable[[str], None]
) -> None:
    """Run one `go build`, then put its aliases and copies beside the binary."""
    module = go_folder / build.folder
    binaries = folder / "bin"
    scratch = folder / "scratch"
    binaries.mkdir(exist_ok=True)
    scratch.mkdir(exist_ok=True)
    environment = go_environment(scratch)
    counts = {"downloaded": 0, "compiled": 0}

    def on_line(line: str) -> None:
        counts["downloaded" if _DOWNLOADING.match(line) else "compiled"] += 1

    def on_tick(seconds: float) -> None:
        downloaded = f"{counts['downloaded']} modules downloaded, " if counts["downloaded"] else ""
        progress(f"{tool.name}: building, {seconds:.0f} s, {downloaded}{counts['compiled']} packages compiled")

    progress(f"{tool.name} {tool.version}: building from Go modules")
    overlay = _overlay(build, scratch, go=go, module=module, environment=environment)
    flags = " ".join(["-s", "-w", *(f"-X {stamp}" for stamp in build.stamps)])
    run_watched(
        [
            str(go), "build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly", *overlay, "-ldflags", flags,
            "-o", str(binaries / build.binary), build.package,
        ],
        directory=module, environment=environment, on_line=on_line, on_tick=on_tick,
    )  # fmt: skip
    for alias in build.aliases:
        (binaries / alias).symlink_to(build.binary)
    for name, source in build.copies.items():
        copied = binaries / name
        shutil.copyfile(
            _module_folder(source.module, go=go, module=module, environment=environment) / source.path, copied
        )
        copied.chmod(0o755)
    shutil.rmtree(scratch)


def go_environment(scratch: Path) -> dict[str, str]:
    """Return the environment of a build: the user's proxies and caches, and nothing that changes the result.

    The compiler's work goes into `scratch`, so that it is removed with a build that was killed.
    """
    return {
        **os.environ,
        "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local", "GOTMPDIR": str(scratch),
        "GOOS": "", "GOARCH": "", "GOEXPERIMENT": "",
    }  # fmt: skip


def _overlay(build: GoBuild, scratch: Path, *, go: Path, module: Path, environment: dict[str, str]) -> tuple[str, ...]:
    """Return the arguments that make files of pinned modules appear in the package's folder, for it to embed."""
    if not build.embeds:
        return ()
    replaced = {
        str(module / name): str(
            _module_folder(source.module, go=go, module=module, environment=environment) / source.path
        )
        for name, source in build.embeds.items()
    }
    listing = scratch / "overlay.json"
    listing.write_text(json.dumps({"Replace": replaced}))
    return ("-overlay", str(listing))


def _module_folder(name: str, *, go: Path, module: Path, environment: dict[str, str]) -> Path:
    """Return where Go keeps the pinned source of the module `name`, downloaded and checked against go.sum."""
    done = subprocess.run(
        [str(go), "mod", "download", "-json", name],
        cwd=module, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        raise ToolError(f"Go module {name}: {done.stderr.strip() or done.stdout.strip()}")
    return Path(json.loads(done.stdout)["Dir"])
