"""The ledger's file: every record is with the kernel before the next thing happens."""

import os
from pathlib import Path
from types import TracebackType

import msgspec

from hms.ledger import Answer, Intent, Record

_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class Journal:
    """An append-only ledger that survives the death of its writer at any instruction.

    Each record is one `write(2)` on a descriptor opened with O_APPEND, so it is in the kernel when the call returns; a
    SIGKILL loses nothing of it. (A power loss of the writer's own node may.)
    A journal that is opened again drops a torn last line: an intent that is torn was never sent, an answer that is torn
    leaves its write unknown. `next_seq` goes on after the highest one found. `OSError` where the volume is full: the
    caller must not send what is not on record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.next_seq = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self.next_seq = _mend(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def append(self, record: Intent | Answer) -> None:
        """Append one record."""
        line = memoryview(msgspec.json.encode(record) + b"\n")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _mend(path: Path) -> int:
    """Cut a torn last line off, or end one that lacks its newline alone, and return the first free sequence number."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    records = [_DECODER.decode(line) for line in content[:whole].splitlines()]
    if whole < len(content):
        try:
            records.append(_DECODER.decode(content[whole:]))
        except msgspec.DecodeError:
            os.truncate(path, whole)
        else:
            with path.open("ab") as file:
                file.write(b"\n")
    return max((record.seq for record in records), default=-1) + 1
