"""The engines' calls, how a call fails, and that an interrupted one leaves no process."""

import os
import stat
import sys
from pathlib import Path

import pytest

from hms.errors import ImageError
from hms.images.build import build_secrets, require_room
from hms.images.builder import Builder, find_builder, run_logged

TAG = "localhost/hms/tiny:1"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "tiny.log"


def program(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_what_a_program_says_is_kept(log: Path) -> None:
    run_logged(["sh", "-c", "echo out; echo err >&2"], log=log, what="a call", timeout_seconds=30)
    assert log.read_text() == "$ sh -c echo out; echo err >&2\nout\nerr\n"


def test_a_failure_shows_the_last_lines_and_where_the_rest_is(log: Path) -> None:
    with pytest.raises(ImageError, match=r"build of x: sh ended with exit code 3") as caught:
        run_logged(["sh", "-c", "seq 100; exit 3"], log=log, what="build of x", timeout_seconds=30)
    assert "    100" in caught.value.message
    assert "    50\n" not in caught.value.message
    assert str(log) in caught.value.remedy


def test_a_call_that_hangs_is_ended_with_all_that_it_started(log: Path, tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with pytest.raises(ImageError, match=r"not done within 0\.5 s"):
        # The grandchild holds the fifo open, so its end is an end of file here.
        run_logged(
            ["sh", "-c", f"sh -c 'echo started; exec sleep 600' > {fifo} & wait"],
            log=log, what="a call", timeout_seconds=0.5,
        )  # fmt: skip
    with open(reader, "rb") as stream:
        assert stream.read() == b"started\n"


def test_a_held_lock_is_inherited(log: Path) -> None:
    read_end, write_end = os.pipe()
    script = f"import os; os.write({write_end}, b'held')"
    run_logged([sys.executable, "-c", script], log=log, what="a call", held=[write_end], timeout_seconds=30)
    os.close(write_end)
    with open(read_end, "rb") as stream:
        assert stream.read() == b"held"


def test_no_engine_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match=r"buildah, podman, docker\): none of them is on the path") as caught:
        find_builder(tmp_path)
    assert "apt-get install buildah" in caught.value.remedy


def test_an_engine_that_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    program(tmp_path / "bin", "podman", "exit 1")
    with pytest.raises(ImageError, match="found podman, but none of them answers"):
        find_builder(tmp_path)
    program(tmp_path / "bin", "docker", "exit 0")
    assert find_builder(tmp_path) == Builder(program="docker")


def test_buildahs_storage_is_ours_and_falls_back_where_overlay_does_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    program(tmp_path / "bin", "buildah", 'case "$*" in *overlay*) exit 1 ;; esac')
    builder = find_builder(tmp_path)
    assert builder.options[-2:] == ("--storage-driver", "vfs")
    assert builder.storage == tmp_path / "storage"
    assert all(str(tmp_path) in option for option in builder.options[1:4:2])


@pytest.mark.parametrize("engine", ["buildah", "podman", "docker"])
def test_the_calls_of_each_engine(engine: str, tmp_path: Path) -> None:
    builder = Builder(program=engine)
    call = builder.build(
        containerfile=tmp_path / "Containerfile", context=tmp_path, tag=TAG,
        arguments={"BASE": "debian"}, secrets={"pip.conf": Path("/etc/pip.conf")},
    )  # fmt: skip
    assert call[:2] == [engine, "build"]
    assert call[-1] == str(tmp_path)
    assert {"--build-arg=BASE=debian", "--secret=id=pip.conf,src=/etc/pip.conf", f"--tag={TAG}"} <= set(call)
    assert ("--isolation=chroot" in call) is (engine != "docker")
    assert str(tmp_path / "a.tar") in " ".join(builder.save(TAG, tmp_path / "a.tar"))
    assert builder.leftovers(storage_limit_bytes=0) == []


def test_a_storage_of_ours_is_emptied_beyond_its_limit(tmp_path: Path) -> None:
    builder = Builder(program="buildah", storage=tmp_path)
    (tmp_path / "layer").write_bytes(b"x" * 100)
    assert builder.leftovers(storage_limit_bytes=100) == [["buildah", "rm", "--all"]]
    assert builder.leftovers(storage_limit_bytes=99)[-1] == ["buildah", "rmi", "--all", "--force"]


def test_room_is_asked_for_before_it_lacks(tmp_path: Path) -> None:
    require_room(tmp_path, need_bytes=1)
    with pytest.raises(ImageError, match=r"GiB free, building images needs 1048576 GiB") as caught:
        require_room(tmp_path, need_bytes=1024**5)
    assert "XDG_CACHE_HOME" in caught.value.remedy


def test_certificates_and_pips_settings_are_handed_over_as_files(tmp_path: Path) -> None:
    bundle, settings = tmp_path / "ca.pem", tmp_path / "pip.conf"
    bundle.touch()
    settings.touch()
    found = build_secrets({"PIP_CERT": "", "SSL_CERT_FILE": str(bundle), "PIP_CONFIG_FILE": str(settings)})
    assert found == {"certificates": bundle, "pip.conf": settings}
    assert "certificates" not in build_secrets({"PIP_CERT": str(tmp_path / "missing")})
