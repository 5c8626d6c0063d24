"""Where what we download and build is kept: a folder a pin, whole or not there, made once.

A folder appears by one rename of a finished one, so a maker that is killed leaves only a `.partial` folder, which the
next one removes. `record.json` has each command's size, time and SHA-256: a file that is cut short or replaced is
noticed at its next use, and the folder is made anew.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from hms.errors import ToolError

Origin = Literal["download", "built"]


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One command as it was when it was made; links have their target's size and digest."""

    size_bytes: int
    modified_ns: int
    sha256: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in a folder of the store, and where it came from."""

    schema: Literal[1] = 1
    name: str
    version: str
    origin: Origin
    source: str
    seconds: float
    files: dict[str, FileRecord]


@dataclass(frozen=True, slots=True)
class Made:
    """What a maker did: where the files came from, and each command's path relative to the folder."""

    origin: Origin
    source: str
    seconds: float
    commands: dict[str, str]


@dataclass(frozen=True, slots=True)
class Artefact:
    """A sound folder of the store."""

    directory: Path
    record: Record
    paths: dict[str, Path]


@dataclass(frozen=True, slots=True)
class Store:
    """The folders under one root, each named `<tool>-<pin digest>`."""

    root: Path

    def find(self, name: str, digest: str, *, thorough: bool = False) -> tuple[Artefact | None, str]:
        """Return the sound artefact, or none and what is wrong with the one that is there (empty: nothing is there).

        The quick check reads sizes and times; `thorough` reads the files again.
        """
        directory = self.root / f"{name}-{digest}"
        if not directory.exists():
            return None, ""
        try:
            record = msgspec.json.decode((directory / "record.json").read_bytes(), type=Record)
        except (OSError, msgspec.DecodeError):
            return None, f"{directory}: half-made, its record cannot be read"
        for relative, recorded in record.files.items():
            if damage := _damage(directory / relative, recorded, thorough=thorough):
                return None, damage
        return Artefact(directory, record, {Path(path).name: directory / path for path in record.files}), ""

    def make(
        self,
        name: str,
        version: str,
        digest: str,
        maker: Callable[[Path], Made],
        *,
        progress: Callable[[str], None],
        thorough: bool = False,
    ) -> Artefact:
        """Return the artefact, made by `maker` in an empty folder if no sound one is there.

        Of two processes that ask at once one makes it, and the other waits and takes it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with self._locked(name, digest, progress):
            artefact, damage = self.find(name, digest, thorough=thorough)
            if artefact is not None:
                return artefact
            if damage:
                progress(f"{name}: made anew, because {damage}")
            final = self.root / f"{name}-{digest}"
            for leftover in self.root.glob(f"{name}-{digest}.partial-*"):
                _remove(leftover)
            partial = Path(tempfile.mkdtemp(prefix=f"{name}-{digest}.partial-", dir=self.root))
            try:
                partial.chmod(0o755)
                _write_record(partial, name, version, maker(partial))
                _remove(final)
                partial.rename(final)
            except BaseException:
                _remove(partial)
                raise
            artefact, damage = self.find(name, digest)
        if artefact is None:
            raise ToolError(f"{name}: broken as soon as it was made: {damage}", remedy="Is the disk full?")
        return artefact

    @contextmanager
    def _locked(self, name: str, digest: str, progress: Callable[[str], None]) -> Iterator[None]:
        """Hold the pin's lock; the kernel frees it when the holder dies."""
        with (self.root / f"{name}-{digest}.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                progress(f"{name}: waiting for process {lock.read().strip() or 'unknown'}, which is making it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_record(folder: Path, name: str, version: str, made: Made) -> None:
    files = {}
    for relative in made.commands.values():
        path = folder / relative
        if not path.exists():
            raise ToolError(f"{name}: {made.source} did not yield {relative}")
        state = path.stat()
        files[relative] = FileRecord(size_bytes=state.st_size, modified_ns=state.st_mtime_ns, sha256=sha256_of(path))
    record = Record(
        name=name, version=version, origin=made.origin, source=made.source, seconds=round(made.seconds, 1), files=files
    )
    with (folder / "record.json").open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(record)))
        file.flush()
        os.fsync(file.fileno())


def _damage(path: Path, recorded: FileRecord, *, thorough: bool) -> str:
    """Say what is wrong with a file; empty if nothing is."""
    try:
        state = path.stat()
    except OSError:
        return f"{path} is gone"
    if state.st_size != recorded.size_bytes:
        return f"{path} has {state.st_size} bytes of {recorded.size_bytes}"
    if not os.access(path, os.X_OK):
        return f"{path} is not executable"
    if (thorough or state.st_mtime_ns != recorded.modified_ns) and sha256_of(path) != recorded.sha256:
        return f"{path} does not have the content that was recorded"
    return ""


def _remove(path: Path) -> None:
    """Remove a folder that may hold read-only directories, as Go's module cache does."""
    if not path.exists():
        return
    for directory, _, _ in os.walk(path):
        Path(directory).chmod(0o755)
    shutil.rmtree(path)
