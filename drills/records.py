"""A file of records, one JSON line each, that survives the death of its program at any instruction."""

import os
from pathlib import Path

import msgspec


class RecordFile:
    """An append-only file: one `write(2)` a record, on a descriptor opened with O_APPEND.

    So a record is with the kernel when `append` returns, and a SIGKILL loses nothing of it. (A power loss of the
    program's own node may.) One that is opened again drops a torn last line. `OSError` where the volume is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._mend(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def append(self, record: msgspec.Struct) -> None:
        """Append one record."""
        line = memoryview(msgspec.json.encode(record) + b"\n")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _mend(self, path: Path) -> None:
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
