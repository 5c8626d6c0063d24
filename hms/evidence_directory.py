"""The directory that holds Evidence: records go in, digests close it."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from hms.errors import EvidenceError
from hms.evidence import Manifest

T = TypeVar("T")

MANIFEST = "manifest.json"


def encode_record(record: object) -> bytes:
    """Return a record as the bytes of a JSON file: the same record always gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(record, order="deterministic"), indent=1) + b"\n"


def manifest_of(files: Mapping[str, bytes]) -> Manifest:
    """Return the manifest of files' contents by their paths inside the directory."""
    return Manifest(sha256={name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())})


class EvidenceDirectory:
    """One run's directory, append-only: no file is written twice, a sealed directory takes nothing more.

    Raises `EvidenceError` where that is tried, and where a file is missing or not of the expected form.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def sealed(self) -> bool:
        """Whether the manifest is written."""
        return (self.path / MANIFEST).exists()

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a new file; it appears whole or not at all."""
        target = self._open_for(name)
        if target.exists():
            raise EvidenceError(f"{target}: already written; evidence is append-only")
        partial = target.with_name(f".{target.name}.partial")
        partial.write_bytes(content)
        os.replace(partial, target)
        return target

    def write(self, name: str, record: object) -> Path:
        """Write one record as a JSON file of its own."""
        return self.write_bytes(name, encode_record(record))

    def append(self, name: str, record: object) -> None:
        """Append one record as a line to a `.jsonl` file."""
        with self._open_for(name).open("ab") as file:
            file.write(msgspec.json.encode(record, order="deterministic") + b"\n")

    def read(self, name: str, kind: type[T]) -> T:
        """Read a record that was written with `write`."""
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=kind)
        except FileNotFoundError:
            raise EvidenceError(f"{self.path / name}: missing") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise EvidenceError(f"{self.path / name}: not a {kind.__name__}: {error}") from error

    def files(self) -> dict[str, bytes]:
        """Return every file's content but the manifest's, by its path inside the directory, in order of path."""
        found = sorted(p for p in self.path.rglob("*") if p.is_file())
        names = {p.relative_to(self.path).as_posix(): p for p in found}
        return {name: p.read_bytes() for name, p in names.items() if name != MANIFEST}

    def seal(self) -> None:
        """Write the manifest: the SHA-256 of every file. Nothing can be added afterwards."""
        self.write(MANIFEST, manifest_of(self.files()))

    def _open_for(self, name: str) -> Path:
        if self.sealed:
            raise EvidenceError(f"{self.path}: sealed; {name} cannot be added")
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
