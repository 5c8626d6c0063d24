"""The images themselves, read from their archives: who runs, what is on record, and what must not be inside."""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from hms.images import IMAGES, USER_IDS, build
from hms.images.store import read_facts

pytestmark = pytest.mark.slow

LARGEST_BYTES = 230_000_000
VERSIONS = {
    "postgres": ("postgresql-17 17.", "patroni 4.0."),
    "redis": ("redis-server 5:8.", "redis-sentinel 5:8."),
    "app": ("python3.13 3.13.",),
    "loadgen": ("python3.13 3.13.",),
}
MODULES = {
    "app": {"yes": ("app/__init__.py",), "no": ("hms", "drills", "loadtests", "tests", "infra")},
    "loadgen": {
        "yes": ("hms/ledger.py", "drills/__init__.py", "loadtests/locustfile.py"),
        "no": ("hms/cluster", "hms/cli", "app", "tests", "infra"),
    },
}


@dataclass
class Contents:
    """The files of an image as a container sees them, by path, and the image's configuration."""

    files: dict[str, tarfile.TarInfo]
    texts: dict[str, str]
    config: dict[str, object]


def contents(archive: Path) -> Contents:
    found = Contents({}, {}, {})
    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            stream = tar.extractfile(name)
            assert stream is not None
            return stream.read()

        manifest = json.loads(read("manifest.json"))[0]
        found.config = json.loads(read(manifest["Config"]))["config"]
        for name in manifest["Layers"]:
            stream = tar.extractfile(name)
            assert stream is not None
            with tarfile.open(fileobj=stream) as layer:
                add_layer(found, layer)
    return found


def add_layer(found: Contents, layer: tarfile.TarFile) -> None:
    for member in layer:
        path = member.name.removeprefix("./").rstrip("/")
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            gone = f"{folder}/{name.removeprefix('.wh.')}".lstrip("/")
            found.files = {p: m for p, m in found.files.items() if p != gone and not p.startswith(f"{gone}/")}
            continue
        found.files[path] = member
        stream = layer.extractfile(member) if path in ("etc/passwd", "etc/hms-versions") else None
        if stream is not None:
            found.texts[path] = stream.read().decode()


@pytest.fixture(scope="module")
def archives() -> dict[str, Path]:
    return build()


@pytest.fixture(scope="module", params=sorted(IMAGES))
def image(request: pytest.FixtureRequest, archives: dict[str, Path]) -> tuple[str, Contents]:
    name = str(request.param)
    return name, contents(archives[name])


def test_its_user_is_numeric_known_to_the_image_and_not_root(image: tuple[str, Contents]) -> None:
    name, inside = image
    user = USER_IDS[name]
    assert inside.config["User"] == f"{user}:{user}"
    assert any(line.split(":")[2] == str(user) for line in inside.texts["etc/passwd"].splitlines())


def test_the_versions_of_its_packages_are_on_record(image: tuple[str, Contents]) -> None:
    name, inside = image
    lines = inside.texts["etc/hms-versions"].splitlines()
    for wanted in VERSIONS[name]:
        assert any(line.startswith(wanted) for line in lines), wanted


def test_nothing_that_only_the_build_needs_is_inside(image: tuple[str, Contents]) -> None:
    _, inside = image
    left = [
        path
        for path, member in inside.files.items()
        if member.size > 0
        and path.startswith(("var/lib/apt/lists/", "var/cache/apt/archives/", "opt/requirements", "run/certificates"))
    ]
    assert left == []
    assert "etc/pip.conf" not in inside.files or inside.files["etc/pip.conf"].size == 0
    assert not any("/site-packages/pip/" in path for path in inside.files)


def test_no_file_can_be_changed_by_all(image: tuple[str, Contents]) -> None:
    _, inside = image
    assert [p for p, member in inside.files.items() if member.isfile() and member.mode & 0o002] == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_it_carries_its_own_code_and_no_other(archives: dict[str, Path], name: str) -> None:
    files = contents(archives[name]).files
    assert all(f"opt/hms/{path}" in files for path in MODULES[name]["yes"])
    assert [path for path in MODULES[name]["no"] if f"opt/hms/{path}" in files] == []


def test_the_images_are_small_and_share_their_lower_layers(archives: dict[str, Path]) -> None:
    facts = {name: read_facts(archive) for name, archive in archives.items()}
    assert {name: fact.size_bytes for name, fact in facts.items() if fact.size_bytes > LARGEST_BYTES} == {}
    assert len({fact.layers[0] for fact in facts.values()}) == 1
    assert len({facts[name].layers[1] for name in ("postgres", "app", "loadgen")}) == 1
