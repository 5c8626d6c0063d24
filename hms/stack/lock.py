"""What Pulumi's file backend keeps on disk for a stack: who holds it, and what a process that was killed left there."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from urllib.parse import urlparse

from hms.stack.settings import PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that a lock names; a lock that cannot be read names process 0, which is never alive."""

    pid: int
    host: str
    file: Path

    @property
    def alive(self) -> bool:
        """Whether it still runs and is a pulumi; another machine's process counts as alive, for want of knowledge."""
        if self.host != gethostname():
            return True
        try:
            return "pulumi" in (Path("/proc") / str(self.pid) / "comm").read_text()
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class BackendFiles:
    """The files of one stack in a backend that is a folder.

    Pulumi replaces the state by renames, state and attributes (`.attrs`) one after the other. A process that is killed
    in between leaves an empty attribute file, on which every later call fails, or the state under its second name
    (`.bak`) alone. Neither loses anything: `repair` puts them right.
    """

    folder: Path
    stack: str

    @classmethod
    def of(cls, backend_url: str, stack: str) -> "BackendFiles | None":
        """Return the files, or None for a backend that is no folder, which looks after itself."""
        url = urlparse(backend_url)
        return cls(Path(url.path) / ".pulumi", stack) if url.scheme == "file" else None

    @property
    def state(self) -> Path:
        """The file of the stack's state."""
        return self.folder / "stacks" / PROJECT / f"{self.stack}.json"

    @property
    def locks(self) -> Path:
        """The folder of the stack's locks."""
        return self.folder / "locks" / "organization" / PROJECT / self.stack

    def holders(self) -> list[Holder]:
        """Return who holds the stack's locks."""
        return [_holder(file) for file in sorted(self.locks.glob("*.json"))]

    def repair(self) -> list[str]:
        """Put right what a killed process left, and say what it was; only while nobody holds the stack."""
        return [*self._remove_torn(), *self._restore_state()]

    def _remove_torn(self) -> Iterator[str]:
        torn = [
            *(file for file in self.locks.glob("*.json") if _content(file) is None),
            *(file for file in self.locks.glob("*.attrs") if _content(file) is None),
            *(file for file in self.state.parent.glob(f"{self.stack}.json*.attrs") if _content(file) is None),
            *self.state.parent.glob(f"{self.stack}.json.*.tmp"),
            *self.locks.glob("*.tmp"),
        ]
        for file in torn:
            file.unlink(missing_ok=True)
            yield f"{file.name}, cut off in the writing, is removed"

    def _restore_state(self) -> Iterator[str]:
        kept = self.state.with_name(f"{self.state.name}.bak")
        if _content(self.state) is None and _content(kept) is not None:
            shutil.copyfile(kept, self.state)
            yield f"{self.state.name} is restored from {kept.name}"


def lock_holders(backend_url: str, stack: str) -> list[Holder]:
    """Return who holds the locks of a stack."""
    files = BackendFiles.of(backend_url, stack)
    return files.holders() if files is not None else []


def _content(file: Path) -> object:
    """Return a file's JSON, None where there is none or it is torn."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _holder(file: Path) -> Holder:
    content = _content(file)
    if not isinstance(content, dict):
        return Holder(pid=0, host=gethostname(), file=file)
    pid = content.get("pid")
    host = content.get("hostname")
    return Holder(pid=pid if isinstance(pid, int) else 0, host=str(host or gethostname()), file=file)
