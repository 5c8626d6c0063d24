"""Write a file that appears whole or not at all, and never into sealed evidence."""

import os
from contextlib import suppress
from pathlib import Path

from hms.errors import EvidenceError, UsageError
from hms.evidence_directory import EvidenceDirectory


def write_whole(target: Path, content: bytes, *, outside: EvidenceDirectory) -> Path:
    """Write `content` to `target` and return it; what was there before is replaced.

    Raises `EvidenceError` if `target` lies in the evidence and that is sealed, for this would break its seal, and
    `UsageError` if the file cannot be written.
    """
    if outside.sealed and target.resolve().is_relative_to(outside.path.resolve()):
        raise EvidenceError(
            f"{target}: inside sealed evidence, which takes nothing more",
            remedy=f"Write it beside: {outside.path.resolve().parent / target.name}",
        )
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        os.replace(partial, target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from error
    return target
