"""The rules that every Containerfile of ours keeps."""

import re
from pathlib import Path

import pytest

from hms.images import IMAGES, USER_IDS
from hms.images.catalogue import BASES, DEBIAN

ROOT = Path(__file__).resolve().parents[2]
ALL = sorted(IMAGES | BASES)
Instruction = tuple[str, str]


def instructions(name: str) -> list[Instruction]:
    """Return the instructions of an image's Containerfile, continued lines joined, comments left out."""
    text = (ROOT / "images" / name / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def values(name: str, keyword: str) -> list[str]:
    return [value for word, value in instructions(name) if word == keyword]


def test_every_folder_is_in_the_catalogue() -> None:
    assert sorted(path.parent.name for path in (ROOT / "images").glob("*/Containerfile")) == ALL


@pytest.mark.parametrize("name", ALL)
def test_the_base_is_an_argument_that_every_stage_stands_on(name: str) -> None:
    assert instructions(name)[0] == ("ARG", f"BASE={DEBIAN}")
    assert {value.split()[0] for value in values(name, "FROM")} == {"${BASE}"}


@pytest.mark.parametrize("name", sorted(IMAGES))
def test_the_last_user_is_numeric_and_the_catalogues(name: str) -> None:
    assert values(name, "USER")[-1] == f"{USER_IDS[name]}:{USER_IDS[name]}"


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_fetched_but_packages(name: str) -> None:
    assert values(name, "ADD") == []
    for value in values(name, "RUN"):
        assert not re.search(r"\b(curl|wget|git)\b|https?://", value)


@pytest.mark.parametrize("name", ALL)
def test_packages_have_a_version_and_nothing_recommended(name: str) -> None:
    for value in values(name, "RUN"):
        for call in re.findall(r"apt-get install ([^;]*)", value):
            packages = [word for word in call.split() if not word.startswith("-") and not word.startswith("Dpkg::")]
            assert "--no-install-recommends" in call
            assert packages
            assert all(re.fullmatch(r"'[a-z0-9.+-]+=[0-9:]+[0-9.]*\*'", package) for package in packages), packages
        if "apt-get install" in value and "python3-venv" not in value:
            assert re.search(r"rm -rf [^;]*/var/lib/apt/lists/\*", value)
        if "pip install" in value:
            assert "--require-hashes" in value


@pytest.mark.parametrize("name", ALL)
def test_versions_are_on_record_and_a_shell_stops_at_its_first_error(name: str) -> None:
    runs = values(name, "RUN")
    if name not in ("app", "loadgen"):
        assert any("> /etc/hms-versions" in run for run in runs)
    assert all("set -e" in run for run in runs)


@pytest.mark.parametrize("name", ALL)
def test_nothing_secret_looking_is_an_argument_or_in_the_environment(name: str) -> None:
    for keyword in ("ENV", "ARG", "LABEL"):
        assert not re.search(r"password|secret|token", " ".join(values(name, keyword)), re.IGNORECASE)
