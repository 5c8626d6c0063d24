"""The lock that Pulumi's file backend keeps for a stack, and what became of the process that took it."""

import json
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from urllib.parse import urlparse

from hms.stack.settings import PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that a lock names."""

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


def lock_holders(backend_url: str, stack: str) -> list[Holder]:
    """Return who holds the locks of a stack; none for a backend that is no folder, which looks after itself."""
    url = urlparse(backend_url)
    if url.scheme != "file":
        return []
    folder = Path(url.path) / ".pulumi" / "locks" / "organization" / PROJECT / stack
    holders = []
    for file in sorted(folder.glob("*.json")):
        try:
            content = json.loads(file.read_text())
            holders.append(Holder(pid=int(content["pid"]), host=str(content["hostname"]), file=file))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return holders
