"""The file of a reader's record."""

import os
from pathlib import Path

import msgspec

from hms.reads import Read


class ReadLog:
    """An append-only file of reads that survives its program: one `write(2)` a read, with O_APPEND.

    One that is opened again drops a torn last line. `OSError` where the volume is full.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def append(self, read: Read) -> None:
        """Append one read."""
        line = memoryview(msgspec.json.encode(read) + b"\n")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
