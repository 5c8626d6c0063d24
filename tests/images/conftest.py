"""A small checkout of its own, in which a test can change what an image is made from."""

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
