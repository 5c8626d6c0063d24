"""Debian comes from its registry, else from its packages, and it is asked for once."""

from pathlib import Path

import pytest

from hms.errors import ImageError
from hms.images.builder import Builder
from hms.images.catalogue import DEBIAN
from hms.images.debian import LOCAL_TAG, ensure_debian
from tests.images.test_builder import program

ENGINE = """
echo "$@" >> {root}/calls
case "$1" in
image) [ -e {root}/there ] ;;
pull) {pull} ;;
tag|build) touch {root}/there ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def engine(home: Path, *, pull: str) -> Builder:
    """Put an engine on the path that notes its calls, knows an image once it was made, and pulls as told."""
    program(home.parent / "bin", "docker", ENGINE.format(root=home.parent, pull=pull))
    return Builder(program="docker")


def calls(home: Path) -> list[str]:
    return (home.parent / "calls").read_text().splitlines()


def test_a_pulled_debian_is_named_and_not_pulled_again(home: Path) -> None:
    docker = engine(home, pull="true")
    for _ in range(2):
        assert ensure_debian(docker, home, lock=1, progress=lambda _line: None) == LOCAL_TAG
    assert calls(home).count(f"pull {DEBIAN}") == 1
    assert f"tag {DEBIAN} {LOCAL_TAG}" in calls(home)


def test_without_a_registry_it_is_made_from_packages_once(home: Path) -> None:
    docker, said = engine(home, pull="exit 1"), list[str]()
    program(
        home.parent / "bin", "mmdebstrap", f'echo made >> {home.parent}/made; for last; do :; done; echo x > "$last"'
    )
    (home / "debian-2020-01-01.rootfs.tar").touch()
    ensure_debian(docker, home, lock=1, progress=said.append)
    assert said[1] == "no registry has it within reach; making it from Debian's packages"
    (home.parent / "there").unlink()
    ensure_debian(docker, home, lock=1, progress=said.append)
    assert (home.parent / "made").read_text() == "made\n"
    assert sorted(path.suffix or path.name for path in home.iterdir()) == [".tar", "logs"]


def test_packages_that_cannot_be_had_are_an_error_and_leave_nothing(home: Path) -> None:
    docker = engine(home, pull="exit 1")
    program(
        home.parent / "bin", "mmdebstrap", 'for last; do :; done; echo half > "$last"; echo E: no packages; exit 25'
    )
    with pytest.raises(ImageError, match=r"mmdebstrap of Debian trixie: mmdebstrap ended with exit code 25") as caught:
        ensure_debian(docker, home, lock=1, progress=lambda _line: None)
    assert "E: no packages" in caught.value.message
    assert [path.name for path in home.iterdir()] == ["logs"]


def test_neither_registry_nor_mmdebstrap_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = engine(home, pull="exit 1")
    for tool in ("touch", "sh"):
        (home.parent / "bin" / tool).symlink_to(f"/bin/{tool}")
    monkeypatch.setenv("PATH", str(home.parent / "bin"))
    with pytest.raises(ImageError, match="mmdebstrap, which could make it, is not on the path") as caught:
        ensure_debian(docker, home, lock=1, progress=lambda _line: None)
    assert "apt-get install mmdebstrap" in caught.value.remedy
