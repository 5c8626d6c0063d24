"""What the API server says of the primary's Endpoints: who holds Patroni's key, and where the Service leads."""

import threading
from dataclasses import dataclass

from drills.feed import Follower
from drills.pod import DrillPod
from drills.wire import Seen
from hms.kubectl import Kubectl

# One line an event; the annotations are Patroni's leader record.
TEMPLATE = (
    "{.kind}|{.metadata.annotations.leader}|{.metadata.annotations.ttl}|{.metadata.annotations.transitions}"
    "|{.subsets[*].addresses[*].ip}{'\\n'}"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One state of the Endpoints object."""

    leader: str
    ttl: str
    transitions: str
    addresses: str


def read_record(line: bytes) -> Record | None:
    """Read one line of the watch; None where it is something else: a watch that breaks off ends with a Status."""
    kind, *parts = line.decode().strip().split("|")
    return Record(*parts) if kind == "Endpoints" and len(parts) == 4 else None


def changes(before: Record | None, after: Record) -> list[str]:
    """Return what became different, a line each; a renewal of the lease is nothing new."""
    if before is None:
        return [f"leader {after.leader or 'none'}, routed to {after.addresses or 'nowhere'}"]
    found: list[str] = []
    if before.leader != after.leader:
        found.append(f"leader's key: {before.leader or 'none'} -> {after.leader or 'none'}")
    if before.addresses != after.addresses:
        found.append(f"routed: {before.addresses or 'nowhere'} -> {after.addresses or 'nowhere'}")
    return found


class Routing:
    """Watches the primary's Endpoints from the driver and adds what changes to the pod's feed."""

    def __init__(self, kubectl: Kubectl, scope: str, pod: DrillPod) -> None:
        self._pod = pod
        self._lock = threading.Lock()
        self._record: Record | None = None
        command = kubectl.command("get", "endpoints", scope, "--watch", "-o", f"jsonpath={TEMPLATE}")
        self._follower = Follower(command, self._line, name="watch endpoints")

    @property
    def effective(self) -> dict[str, str]:
        """Return the lease that Patroni itself wrote into its leader record."""
        with self._lock:
            return {"patroni ttl in the leader's record": self._record.ttl} if self._record else {}

    def close(self) -> None:
        """Stop watching."""
        self._follower.close()

    def _line(self, line: bytes) -> None:
        record = read_record(line)
        if record is None:
            return
        at_ns = self._pod.far_ns()
        with self._lock:
            before, self._record = self._record, record
        for what in changes(before, record):
            self._pod.feed.add(Seen(at_ns=at_ns, source="endpoints", what=what))
