"""Faults of Postgres and Patroni that are not those of any server."""

from dataclasses import dataclass

import msgspec

from drills.debts import InPod
from drills.faults.engine import POSTGRES, WITNESS_SECONDS, Member
from drills.faults.fault import Fault
from drills.faults.pods import claims_of, delete_by_force, is_another
from drills.faults.signals import send
from drills.stage import Injection, Proof, Stage
from drills.storm import Storm
from drills.wire import State
from hms.errors import HmsError, KubectlError
from hms.quantity import parse_bytes

RENDERED_CONFIG = "/run/hms/patroni.yml"
WAL = "/wal"
FILLER = f"{WAL}/hms-drill-filler"
STORM_FILE = "/tmp/storm.json"  # noqa: S108 - a path inside the pod
STORM_SECONDS = 4.0
STORM_PATIENCE_SECONDS = 60.0
VOLUME_SECONDS = 60.0
FULL_SECONDS = 30.0
STATISTICS = "import os; d = os.statvfs('/wal'); print(d.f_frsize * d.f_blocks, d.f_frsize * d.f_bavail)"
# Allocated at one stroke; what is left of the last blocks is written until the file system says that it is full.
FILL = """
import errno, os, sys
d = os.statvfs(os.path.dirname(sys.argv[1]))
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
try:
    os.posix_fallocate(fd, 0, d.f_frsize * d.f_bavail)
    while True:
        os.lseek(fd, 0, os.SEEK_END)
        os.write(fd, bytes(4096))
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@dataclass(frozen=True, kw_only=True)
class KillPatroni(Fault):
    """SIGKILL of Patroni on the primary: its container ends with it, and Postgres with the container."""

    def inject(self, stage: Stage) -> Injection:
        """Kill the Patroni of the member that leads."""
        before = stage.state()
        target = POSTGRES.primary(before)
        killed = send(stage, target, POSTGRES.container, "patroni", which="child")
        return Injection(target, killed.at_ns, killed.uncertainty_ns, before, (killed.note,))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the member's server is another one, or another member leads."""
        return POSTGRES.prove_gone(stage, injection, injection.notes[0])


@dataclass(frozen=True, kw_only=True)
class FreezePatroni(Fault):
    """SIGSTOP of Patroni alone: Postgres serves on, nobody renews its lease, and one day another one leads."""

    def inject(self, stage: Stage) -> Injection:
        """Stop the Patroni of the member that leads."""
        before = stage.state()
        target = POSTGRES.primary(before)
        stopped = send(stage, target, POSTGRES.container, "patroni", signal="STOP", which="child")
        notes = (stopped.note, "stopped" if stopped.done else "")
        return Injection(target, stopped.at_ns, stopped.uncertainty_ns, before, notes)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Take the kernel's word of the process."""
        return Proof(bool(injection.notes[1]), injection.notes[0])

    def hold(self, stage: Stage, injection: Injection, proof: Proof) -> Proof:
        """Wait until another member leads."""
        other = POSTGRES.wait_for_another(stage, injection)
        return Proof(proof.proved, f"{proof.how}; {other or 'nobody else led'}")


@dataclass(frozen=True, kw_only=True)
class KillBothReplicas(Fault):
    """The postmasters of all synchronous replicas die, and their stopped Patronis do not start them again."""

    def inject(self, stage: Stage) -> Injection:
        """Stop the Patroni of each synchronous replica, then kill the postmasters."""
        before = stage.state()
        replicas = POSTGRES.replicas(before)
        stopped = [
            send(stage, replica, POSTGRES.container, "patroni", signal="STOP", which="child") for replica in replicas
        ]
        killed = [send(stage, replica, POSTGRES.container, "postgres") for replica in replicas]
        done = all(one.done for one in (*stopped, *killed))
        notes = ("; ".join(one.note for one in (*stopped, *killed)), "done" if done else "")
        return Injection(", ".join(replicas), stopped[0].at_ns, stopped[0].uncertainty_ns, before, notes)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Take the kernel's word, and the primary's: no replica confirms its commits any more."""

        def alone(state: State) -> str | None:
            steady = state.postgres.steady or state.at_ns <= injection.at_ns
            return None if steady else state.postgres.detail

        seen = stage.until(alone, WITNESS_SECONDS)
        return Proof(bool(injection.notes[1] and seen), f"{injection.notes[0]}; {seen or 'Patroni saw nothing of it'}")


@dataclass(frozen=True, kw_only=True)
class Switchover(Fault):
    """A planned switchover, as before maintenance: the primary hands over to whichever replica is quicker.

    Where a candidate is named, Patroni has the other replica sleep for two seconds before it looks for whom to follow;
    until it follows, nobody confirms a commit.
    """

    def inject(self, stage: Stage) -> Injection:
        """Ask for the switchover in the primary's own container."""
        before = stage.state()
        target = POSTGRES.primary(before)
        at_ns, uncertainty_ns = stage.moment()
        command = [
            "patronictl", "-c", RENDERED_CONFIG, "switchover", stage.inventory.postgres.scope,
            "--primary", target, "--force",
        ]  # fmt: skip
        try:
            stage.kubectl.exec(target, POSTGRES.container, command, timeout_seconds=60)
        except KubectlError as error:
            raise HmsError(f"switchover from {target}: {error.message}") from error
        return Injection(target, at_ns, uncertainty_ns, before, ())

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until another member leads."""
        seen = POSTGRES.wait_for_another(stage, injection, WITNESS_SECONDS)
        return Proof(bool(seen), seen or f"{injection.target} still leads")


@dataclass(frozen=True, kw_only=True)
class LoseVolumes(Fault):
    """A member's pod and volume claims are deleted: it comes back with nothing, and must copy another's data."""

    member: Member

    def inject(self, stage: Stage) -> Injection:
        """Delete the member's claims and its pod."""
        target = POSTGRES.member(stage.state(), self.member)
        return delete_by_force(stage, [target], claims=claims_of(stage.kubectl, target))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the API server has no claim and no pod of before, and the engine says the same of the server."""
        gone = stage.ask_until(lambda: is_another(stage, injection), VOLUME_SECONDS, every_seconds=1.0)
        seen = POSTGRES.prove_gone(stage, injection)
        return Proof(bool(gone) and seen.proved, f"{gone or 'pod or claims are the same'}; {seen.how}")


@dataclass(frozen=True, kw_only=True)
class FillWal(Fault):
    """The volume of the primary's write-ahead log is full: it can log nothing more, and must not acknowledge it."""

    def not_applicable_because(self, stage: Stage) -> str:
        """Refuse where the volume has no size of its own: it would be the machine's disk that is filled."""
        try:
            target = POSTGRES.primary(stage.until(lambda state: state, WITNESS_SECONDS) or stage.state())
            said = stage.kubectl.exec(target, POSTGRES.container, ["python3", "-c", STATISTICS]).split()
            claim = stage.kubectl.get("pvc", next(name for name in claims_of(stage.kubectl, target) if "wal" in name))
        except (KubectlError, StopIteration) as error:
            return f"the WAL volume's size cannot be asked: {error}"
        promised = parse_bytes(claim["status"]["capacity"]["storage"])
        if int(said[0]) > 2 * promised:
            return (
                f"the WAL volume is promised {promised >> 20} MiB and lies on a disk of {int(said[0]) >> 20} MiB that "
                "is not its own: filling it would fill the machine's"
            )
        return ""

    def inject(self, stage: Stage) -> Injection:
        """Fill what is left of the volume with a file."""
        before = stage.state()
        target = POSTGRES.primary(before)
        does = "remove the file that fills the WAL volume"
        stage.owe(InPod(pod=target, container=POSTGRES.container, argv=("rm", "-f", FILLER), does=does))
        at_ns, uncertainty_ns = stage.moment()
        said = stage.kubectl.exec(target, POSTGRES.container, ["python3", "-c", FILL, FILLER]).strip()
        return Injection(target, at_ns, uncertainty_ns, before, (said,))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Take the file system's own error, and wait for what Postgres makes of it."""
        seen = POSTGRES.wait_for_another(stage, injection, FULL_SECONDS)
        full = injection.notes[0] == "ENOSPC"
        return Proof(full, f"writing to the volume: {injection.notes[0]}; {seen or 'the primary is the same'}")


@dataclass(frozen=True, kw_only=True)
class ConnectionStorm(Fault):
    """Five times as many sessions as the server allows are asked for at once, and those that are given are kept."""

    times: int = 5

    def inject(self, stage: Stage) -> Injection:
        """Start the storm in the drill's pod, beside the writers' container."""
        before = stage.state()
        target = POSTGRES.primary(before)
        sessions = self.times * int(stage.inventory.postgres.settings["max_connections"])
        command = f"rm -f {STORM_FILE}; exec python -m drills.storm {target} {sessions} {STORM_SECONDS:g} {STORM_FILE}"
        at_ns, uncertainty_ns = stage.moment()
        stage.pod.start(command)
        return Injection(target, at_ns, uncertainty_ns, before, ())

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait for the storm's own count: the server must have refused sessions because it had too many."""

        def count() -> Storm | None:
            said = stage.pod.read(STORM_FILE)
            return msgspec.json.decode(said, type=Storm) if said else None

        storm = stage.ask_until(count, STORM_PATIENCE_SECONDS, every_seconds=0.5)
        if storm is None:
            return Proof(False, f"the storm did not end within {STORM_PATIENCE_SECONDS:g} s")
        return Proof(storm.too_many > 0, storm.in_words())
