import hashlib
import io
import socket
import tarfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hms.errors import ToolError
from hms.tools.catalogue import Download
from hms.tools.download import Network, UnreachableError, download_tool, published_digest
from hms.tools.machine import probe_version
from tests.tools.conftest import PROBE, Publisher, command_bytes, make_tool

DIGEST = "0123456789abcdef" * 4


def archive(**members: bytes) -> bytes:
    """Return a tar.gz whose member names have `__` for `/`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo("./" + name.replace("__", "/"))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def publish(publisher: Publisher, path: str, content: bytes) -> str:
    """Serve `content` and its SHA-256 beside it, and return its address."""
    publisher.files[path] = content
    publisher.files[f"{path}.sha256"] = f"{hashlib.sha256(content).hexdigest()}  {path[1:]}\n".encode()
    return publisher.url + path


def fetch(download: Download, folder: Path) -> Path:
    """Download into `folder` and return the command's path."""
    made = download_tool(make_tool(), download, folder, way_out=Network(), progress=print)
    return folder / made.commands["hms-test-widget"]


def test_a_plain_file_is_the_command(publisher: Publisher, tmp_path: Path) -> None:
    url = publish(publisher, "/hms-test-widget", command_bytes("1.2.3"))
    path = fetch(Download(urls=(url,), checksum="{url}.sha256"), tmp_path)
    assert probe_version(path, PROBE) == "1.2.3"


def test_a_member_is_taken_out_of_an_archive(publisher: Publisher, tmp_path: Path) -> None:
    url = publish(publisher, "/w.tar.gz", archive(w__tool=command_bytes("1.2.3"), w__other=b"not wanted"))
    download = Download(urls=(url,), checksum="{url}.sha256", members={"hms-test-widget": "w/tool"})
    assert probe_version(fetch(download, tmp_path), PROBE) == "1.2.3"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["hms-test-widget"]


def test_a_tree_is_kept_whole(publisher: Publisher, tmp_path: Path) -> None:
    url = publish(publisher, "/w.tar.gz", archive(w__bin__tool=command_bytes("1.2.3"), w__lib__part=b"needed"))
    download = Download(urls=(url,), checksum="{url}.sha256", tree="w", members={"hms-test-widget": "bin/tool"})
    assert probe_version(fetch(download, tmp_path), PROBE) == "1.2.3"
    assert (tmp_path / "w" / "lib" / "part").read_bytes() == b"needed"


def test_a_wrong_checksum_is_refused_and_both_are_named(publisher: Publisher, tmp_path: Path) -> None:
    url = publish(publisher, "/hms-test-widget", b"what the publisher made")
    publisher.files["/hms-test-widget"] = b"what somebody else made"
    seen = hashlib.sha256(b"what somebody else made").hexdigest()
    stated = hashlib.sha256(b"what the publisher made").hexdigest()
    with pytest.raises(ToolError, match=f"SHA-256 is {seen}, its publisher states {stated}"):
        fetch(Download(urls=(url,), checksum="{url}.sha256"), tmp_path)


def test_an_archive_without_the_member_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    url = publish(publisher, "/w.tar.gz", archive(other=b""))
    with pytest.raises(ToolError, match=r"w\.tar\.gz: has no w/tool"):
        fetch(Download(urls=(url,), checksum="{url}.sha256", members={"hms-test-widget": "w/tool"}), tmp_path)


def test_a_file_that_is_no_archive_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    url = publish(publisher, "/w.tar.gz", b"a page that says you should log in")
    with pytest.raises(ToolError, match="not a tar archive"):
        fetch(Download(urls=(url,), checksum="{url}.sha256", members={"hms-test-widget": "w/tool"}), tmp_path)


def test_a_missing_file_names_its_address_and_status(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"/gone\.sha256: status 404"):
        fetch(Download(urls=(f"{publisher.url}/gone",), checksum="{url}.sha256"), tmp_path)


def test_a_host_that_does_not_answer_is_asked_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    way_out = Network()
    with pytest.raises(UnreachableError):
        way_out.read(f"http://127.0.0.1:{port}/first")

    # Something answers there now; the same command does not ask, the next one does.
    with HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as server:
        server.timeout = 0.2
        with pytest.raises(UnreachableError):
            way_out.read(f"http://127.0.0.1:{port}/second")
        server.handle_timeout = lambda: waited.append(True)  # type: ignore[method-assign] # the way to see a timeout
        waited: list[bool] = []
        server.handle_request()
        assert waited == [True]


@pytest.mark.parametrize(
    "text",
    [DIGEST, DIGEST.upper() + "\n", f"{DIGEST}  tool.tgz\n", f"{'f' * 64}  a.tgz\n{DIGEST} *dist/tool.tgz\n"],
)
def test_a_publisher_states_a_digest_in_one_of_these_forms(text: str) -> None:
    assert published_digest(text, "tool.tgz", source="here") == DIGEST


@pytest.mark.parametrize("text", ["", "<html></html>", f"{DIGEST}  other.tgz\n", f"{DIGEST[:-1]}  tool.tgz\n"])
def test_what_states_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ToolError, match=r"here: states no SHA-256 of tool\.tgz"):
        published_digest(text, "tool.tgz", source="here")
