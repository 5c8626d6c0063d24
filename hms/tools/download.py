"""Ordinary downloads: published files over https, held against the SHA-256 that their publisher states."""

import re
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx

from hms.errors import ToolError
from hms.tools.catalogue import Download, Tool, architecture
from hms.tools.store import Made, sha256_of

CONNECT_SECONDS = 3.0
READ_SECONDS = 20.0
TICK_SECONDS = 10.0

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class UnreachableError(ToolError):
    """A host did not answer; the caller goes on to the next way to have the tool."""


@dataclass(slots=True)
class Network:
    """The way out to the publishers; a host that did not answer once is not asked again.

    One lives as long as a command, so that a machine without a way out waits once for each host and not for each tool.
    """

    unreachable: dict[str, str] = field(default_factory=dict)

    def read(self, url: str) -> str:
        """Return the small text at `url`."""
        with self._client(url) as client:
            return self._get(client, url).text

    def save(self, url: str, path: Path, *, progress: Callable[[str], None]) -> None:
        """Write the file at `url` to `path`, with a line of progress every ten seconds."""
        started = time.monotonic()
        tick_at = started + TICK_SECONDS
        with self._client(url) as client:
            try:
                with client.stream("GET", url) as answer, path.open("wb") as file:
                    self._check(answer, url)
                    for chunk in answer.iter_bytes(1 << 20):
                        file.write(chunk)
                        if time.monotonic() >= tick_at:
                            tick_at += TICK_SECONDS
                            progress(
                                f"{path.name}: {file.tell() / 1024**2:.0f} MiB, {time.monotonic() - started:.0f} s"
                            )
            except httpx.HTTPError as error:
                raise self._failure(url, error) from error

    def _client(self, url: str) -> httpx.Client:
        host = httpx.URL(url).host
        if host in self.unreachable:
            raise UnreachableError(f"{host}: {self.unreachable[host]}")
        return httpx.Client(follow_redirects=True, timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS))

    def _get(self, client: httpx.Client, url: str) -> httpx.Response:
        try:
            answer = client.get(url)
        except httpx.HTTPError as error:
            raise self._failure(url, error) from error
        self._check(answer, url)
        return answer

    def _failure(self, url: str, error: httpx.HTTPError) -> ToolError:
        host = httpx.URL(url).host
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            self.unreachable[host] = f"not reached: {error}"
            return UnreachableError(f"{host}: {self.unreachable[host]}")
        return ToolError(f"{url}: {type(error).__name__}: {error}")

    @staticmethod
    def _check(answer: httpx.Response, url: str) -> None:
        if answer.status_code != httpx.codes.OK:
            raise ToolError(f"{url}: status {answer.status_code}")


@cache
def network() -> Network:
    """Return this command's way out."""
    return Network()


def download_tool(
    tool: Tool, download: Download, folder: Path, *, way_out: Network, progress: Callable[[str], None]
) -> Made:
    """Fetch one download of `tool` into `folder`; `ToolError` if it is not had whole and true."""
    started = time.monotonic()
    commands: dict[str, str] = {}
    (folder / "bin").mkdir(exist_ok=True)
    for url, checksum_url in download.files(architecture()):
        file_name = url.rsplit("/", 1)[-1]
        expected = published_digest(way_out.read(checksum_url), file_name, source=checksum_url)
        progress(f"{tool.name} {tool.version}: downloading {url}")
        fetched = folder / file_name
        way_out.save(url, fetched, progress=progress)
        if (seen := sha256_of(fetched)) != expected:
            raise ToolError(f"{url}: SHA-256 is {seen}, its publisher states {expected}", remedy="It is not used.")
        if download.members:
            commands |= _unpack(fetched, download, folder)
            fetched.unlink()
        else:
            fetched.rename(folder / "bin" / file_name)
            commands[file_name] = f"bin/{file_name}"
    for relative in commands.values():
        (folder / relative).chmod(0o755)
    return Made("download", download.urls[0], time.monotonic() - started, commands)


def published_digest(text: str, file_name: str, *, source: str) -> str:
    """Return the digest of `file_name` in a publisher's text: one bare digest, or lines `<digest>  <name>`."""
    words = text.split()
    if len(words) == 1 and _SHA256.fullmatch(words[0]):
        return words[0].lower()
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 2 and _SHA256.fullmatch(parts[0]) and parts[1].lstrip("*").rsplit("/", 1)[-1] == file_name:
            return parts[0].lower()
    raise ToolError(f"{source}: states no SHA-256 of {file_name}")


def _unpack(archive: Path, download: Download, folder: Path) -> dict[str, str]:
    """Take the members out of a tar archive, and return each command's path in `folder`."""
    try:
        with tarfile.open(archive) as tar:
            if download.tree:
                tar.extractall(folder, filter="data")
                return {name: f"{download.tree}/{member}" for name, member in download.members.items()}
            for name, member in download.members.items():
                content = tar.extractfile(_member(tar, member, archive))
                if content is None:
                    raise ToolError(f"{archive.name}: {member} is not a file")
                with (folder / "bin" / name).open("wb") as file:
                    while chunk := content.read(1 << 20):
                        file.write(chunk)
    except tarfile.TarError as error:
        raise ToolError(f"{archive.name}: not a tar archive: {error}") from error
    return {name: f"bin/{name}" for name in download.members}


def _member(tar: tarfile.TarFile, name: str, archive: Path) -> tarfile.TarInfo:
    """Return the member of that name, written with or without a leading `./`."""
    for info in tar:
        if info.name.removeprefix("./") == name:
            return info
    raise ToolError(f"{archive.name}: has no {name}")
