import os
from pathlib import Path

import pytest

from hms.errors import ToolError
from hms.tools.debian import install_packages


@pytest.fixture
def apt_get(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in first on the path that writes down its arguments, and knows packages only after an update."""
    folder = home / "apt"
    folder.mkdir()
    (folder / "apt-get").write_text(
        f"""#!/bin/sh
echo "$@" >> {folder}/calls
case "$*" in
*update*) touch {folder}/lists ;;
*unheard*) echo "E: Unable to locate package unheard"; exit 100 ;;
*) [ -e {folder}/lists ] || exit 100 ;;
esac
"""
    )
    (folder / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


def test_lists_are_fetched_only_when_an_install_fails(apt_get: Path) -> None:
    install_packages({"runc", "etcd-server"}, progress=print)
    install_packages({"runc"}, progress=print)
    told = [line.split("DPkg::Lock::Timeout=300 ")[1] for line in (apt_get / "calls").read_text().splitlines()]
    both = "install --yes --no-install-recommends etcd-server runc"
    assert told == [both, "update", both, "install --yes --no-install-recommends runc"]


def test_an_unknown_package_tells_apt_s_words_and_what_to_type(apt_get: Path) -> None:
    with pytest.raises(ToolError, match="Unable to locate package unheard") as caught:
        install_packages({"unheard"}, progress=print)
    assert caught.value.remedy == "Install them by hand: apt-get install unheard"


def test_only_root_installs_packages(apt_get: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ToolError, match="packages runc: only root can install them"):
        install_packages({"runc"}, progress=print)
    assert not (apt_get / "calls").exists()


def test_a_machine_without_apt_get_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(ToolError, match="this machine has no apt-get"):
        install_packages({"runc"}, progress=print)
