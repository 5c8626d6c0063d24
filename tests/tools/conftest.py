"""A home of its own for each test: cache, path and Pulumi's folder, and a publisher on loopback."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from hms.tools import ensure
from hms.tools.catalogue import Catalogue, Download, GoBuild, Probe, Tool
from hms.tools.download import Network
from hms.tools.install import Installer
from hms.tools.store import Store

PROBE = Probe(arguments=("--version",), pattern=r"version (\d+\.\d+\.\d+)")


@pytest.fixture(scope="session")
def go() -> Path:
    """Return the machine's Go, or the one that the product would install."""
    return ensure(["go"], progress=print).path("go")


@pytest.fixture(scope="session")
def go_cache(go: Path) -> str:
    """Return the folder of the compiler's own cache, so that no test compiles Go's library anew."""
    done = subprocess.run([str(go), "env", "GOCACHE"], capture_output=True, check=True, text=True)
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go_cache: str) -> Path:
    """Keep every test away from the user's cache of tools and from Pulumi's home."""
    monkeypatch.setenv("GOCACHE", go_cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    return tmp_path


def write_command(path: Path, version: str) -> Path:
    """Write a command that tells `version`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {path.name} version {version}\n")
    path.chmod(0o755)
    return path


def command_bytes(version: str) -> bytes:
    return f"#!/bin/sh\necho version {version}\n".encode()


def make_tool(
    name: str = "widget",
    *,
    commands: tuple[str, ...] = (),
    accepts: str = ">=1.2,<2",
    directories: tuple[str, ...] = (),
    debian: tuple[str, ...] = (),
    download: tuple[Download, ...] = (),
    go: tuple[GoBuild, ...] = (),
    built_with: str = "",
    static: bool = False,
) -> Tool:
    """Return a pin of version 1.2.3 whose names no machine has."""
    return Tool(
        name=name, purpose="for a test", groups=("stack",), version="1.2.3", accepts=accepts,
        commands=commands or (f"hms-test-{name}",), probe=PROBE, directories=directories, debian=debian,
        download=download, go=go, built_with=built_with, static=static,
    )  # fmt: skip


def make_installer(home: Path, *tools: Tool, progress: Callable[[str], None] = print) -> Installer:
    """Return an installer of `tools` whose Go modules lie in `home/go`."""
    pins = Catalogue({tool.name: tool for tool in tools}, home / "go")
    return Installer(pins, Store(home / "cache" / "hms" / "tools"), Network(), progress)


def write_module(home: Path, version: str = "1.2.3") -> None:
    """Write a Go module that needs nothing but the language, and tells `version`."""
    module = home / "go" / "widget"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module hms.invalid/widget\n\ngo 1.21\n")
    (module / "main.go").write_text(
        f'package main\n\nvar version = "{version}"\n\nfunc main() {{ println("version", version) }}\n'
    )


@dataclass
class Publisher:
    """Serves bytes by path on loopback and remembers what was asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    served = Publisher("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            body = served.files.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()
