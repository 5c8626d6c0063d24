"""The `ArchiveStore`: image archives in the cache, each there whole or not at all."""

import fcntl
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from hms.errors import ImageError
from hms.paths import cache_home

KEPT = 3

Progress = Callable[[str], None]


class ArchiveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: `layers` are (SHA-256, size in bytes) from the bottom up, not compressed."""

    references: tuple[str, ...]
    layers: tuple[tuple[str, int], ...]

    @property
    def size_bytes(self) -> int:
        """The size of all layers."""
        return sum(size for _, size in self.layers)


def read_facts(archive: Path) -> ArchiveFacts:
    """Read what an image archive in Docker's form holds; `ImageError` if it is not one."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile("manifest.json")
            if member is None:
                raise KeyError("manifest.json")
            manifests = json.load(member)
            tags = [tag for manifest in manifests for tag in manifest.get("RepoTags") or ()]
            layers = [
                (name.split("/")[-1].removesuffix(".tar"), tar.getmember(name).size)
                for manifest in manifests
                for name in manifest["Layers"]
            ]
    except (tarfile.TarError, KeyError, ValueError, TypeError) as error:
        raise ImageError(f"{archive}: not an image archive: {error}", remedy="Remove it; it is made again.") from error
    except FileNotFoundError:
        raise ImageError(f"{archive}: no such image archive", remedy="Run `hms images`.") from None
    return ArchiveFacts(references=tuple(tags), layers=tuple(layers))


class ArchiveStore:
    """The directory of image archives, `<name>-<digest>.tar`, with the lock of those who build.

    Of each image the `kept` last used archives stay.
    """

    def __init__(self, home: Path | None = None, *, kept: int = KEPT) -> None:
        self.home = home or cache_home() / "images"
        self.kept = kept

    def path(self, name: str, digest: str) -> Path:
        """Return where the archive of an image is, or would be."""
        return self.home / f"{name}-{digest}.tar"

    def digest_of(self, archive: Path) -> str:
        """Return the digest in an archive's name."""
        return archive.stem.rpartition("-")[2]

    def get(self, name: str, digest: str) -> Path | None:
        """Return the archive if it is there, marked as used now."""
        archive = self.path(name, digest)
        if not archive.is_file():
            return None
        os.utime(archive)
        return archive

    @contextmanager
    def put(self, name: str, digest: str) -> Iterator[Path]:
        """Give a path to write the archive to; it is moved into place when the block ends well, else removed."""
        self.home.mkdir(parents=True, exist_ok=True)
        partial = self.home / f".{name}-{digest}.tar.partial"
        partial.unlink(missing_ok=True)
        try:
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(partial, self.path(name, digest))
        finally:
            partial.unlink(missing_ok=True)

    def clear_partial(self) -> None:
        """Remove what a killed build left half written; the caller holds the lock."""
        for partial in self.home.glob(".*.partial"):
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink()

    def prune(self, name: str) -> list[Path]:
        """Remove all but the last used archives of an image; return what was removed."""
        found = sorted(self.home.glob(f"{name}-*.tar"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for old in found[self.kept :]:
            old.unlink(missing_ok=True)
        return found[self.kept :]

    @contextmanager
    def lock(self, progress: Progress) -> Iterator[int]:
        """Hold the lock of those who build or deliver, and give its file descriptor; say so if one has to wait."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress("another command is at work on the images; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()
