"""The ledger's file: every record is with the kernel before the next thing happens."""

import os
from pathlib import Path
from types import TracebackType

import msgspec

from drills.records import RecordFile
from hms.ledger import Record

_DECODER: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


class Journal(RecordFile):
    """A ledger that goes on where it was cut off: `next_seq` is after the highest number found.

    Of a torn last line, an intent was never sent, and an answer leaves its write unknown; one that is whole but for its
    newline counts. Where the volume is full the caller must not send what is not on record.
    """

    def __init__(self, path: Path) -> None:
        self.next_seq = 0
        super().__init__(path)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _mend(self, path: Path) -> None:
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
        self.next_seq = max((record.seq for record in records), default=-1) + 1
