"""A small checkout of its own, in which a test can change what an image is made from."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

LOCK = """\
version = 1

[[package]]
name = "library"
version = "1.5"
wheels = [{ url = "x", hash = "sha256:aa" }]

[[package]]
name = "product"
version = "0.1"
source = { editable = "." }

[package.dev-dependencies]
app = [{ name = "library" }]
loadgen = []
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def layer(files: Mapping[str, str]) -> bytes:
    """Return a layer that holds these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, {name: text.encode() for name, text in files.items()})
    return buffer.getvalue()


def add(tar: tarfile.TarFile, members: Mapping[str, bytes]) -> None:
    for name, data in members.items():
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def docker_archive(path: Path, *layers: bytes, tag: str = "localhost/hms/tiny:1") -> Path:
    """Write an image archive in Docker's form, as the engines save it."""
    digests = [sha256(data) for data in layers]
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = [{"Config": f"{sha256(config)}.json", "RepoTags": [tag], "Layers": [f"{d}.tar" for d in digests]}]
    with tarfile.open(path, "w") as tar:
        add(tar, {f"{digest}.tar": data for digest, data in zip(digests, layers, strict=True)})
        add(tar, {f"{sha256(config)}.json": config, "manifest.json": json.dumps(manifest).encode()})
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with all that the catalogue's images are made from."""
    root = tmp_path / "checkout"
    images = ("base", "postgres", "redis", "app", "loadgen")
    write(root, {f"images/{name}/Containerfile": f"# {name}\n" for name in images})
    write(
        root,
        {
            "uv.lock": LOCK,
            "images/redis/start": "#!/bin/sh\n",
            "app/__init__.py": "",
            "app/server.py": "serve()\n",
            "hms/ledger.py": "class Ledger: ...\n",
            "hms/cluster/node.py": "class Node: ...\n",
            "loadtests/locustfile.py": "run()\n",
            "drills/writer/main.py": "write()\n",
        },
    )
    return root
