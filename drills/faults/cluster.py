"""Faults of the cluster itself: its API server, its names, and all of one engine at once."""

import os
import signal
from dataclasses import dataclass

from drills.debts import Continue, End, Thaw
from drills.faults.engine import POSTGRES
from drills.faults.fault import Fault
from drills.faults.pods import delete_by_force, is_another
from drills.machines import process_started, process_state
from drills.stage import Injection, Proof, Stage
from hms.errors import HmsError

GONE_SECONDS = 30.0
POLL_SECONDS = 0.5
DNS_LABELS = {"k8s-app": "kube-dns"}
DNS_NAMESPACE = "kube-system"
LOOK_UP = """
import socket, threading
answer = []
def ask():
    try:
        answer.append(socket.gethostbyname("kubernetes.default.svc.cluster.local."))
    except OSError as error:
        answer.append("")
thread = threading.Thread(target=ask, daemon=True)
thread.start()
thread.join(3.0)
print(answer[0] if answer and answer[0] else "no answer")
"""


@dataclass(frozen=True, kw_only=True)
class StopApiServer(Fault):
    """The API server stands still: Patroni cannot renew its lease there, and must not stand down while all live.

    It is ended and started anew then, as one that hangs is by its liveness probe. One that `goes_on`, as after a pause
    of its machine, first does what its clients asked it and gave up meanwhile: Patroni finds its own late writes in
    the way of the one by which it wants to keep the lock.
    """

    goes_on: bool = False

    def inject(self, stage: Stage) -> Injection:
        """Send SIGSTOP to the control plane's API server."""
        before = stage.state()
        process_id = stage.machines.control_part("apiserver")
        owed = Continue if self.goes_on else End
        stage.owe(owed(process_id=process_id, started=process_started(process_id)))
        at_ns, uncertainty_ns = stage.moment()
        os.kill(process_id, signal.SIGSTOP)
        return Injection("the API server", at_ns, uncertainty_ns, before, (str(process_id),))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the kernel for the state of the process: nobody else can be asked now."""

        def stopped() -> str | None:
            state = process_state(int(injection.notes[0]))
            return state if state == "T" else None

        done = stage.ask_until(stopped, 1.0, every_seconds=0.01) is not None
        how = f"the kernel says of process {injection.notes[0]}: {'stopped' if done else 'not stopped'}"
        return Proof(done, f"{how}, for {self.lasts_seconds:g} s")


@dataclass(frozen=True, kw_only=True)
class StopNames(Fault):
    """No name is resolved any more: those who know each other's addresses must not notice."""

    def inject(self, stage: Stage) -> Injection:
        """Freeze the pods of the cluster's DNS."""
        before = stage.state()
        pods = stage.kubectl.within(DNS_NAMESPACE).pods(DNS_LABELS)
        if not pods:
            raise HmsError(f"no pod of the cluster's DNS: none in {DNS_NAMESPACE} is labelled {DNS_LABELS}")
        groups = [stage.machines.pod_group(str(pod["spec"]["nodeName"]), str(pod["metadata"]["uid"])) for pod in pods]
        for group in groups:
            stage.owe(Thaw(cluster=stage.machines.name, group=group))
        at_ns, uncertainty_ns = stage.moment()
        for group in groups:
            stage.machines.freeze(group)
        names = ", ".join(str(pod["metadata"]["name"]) for pod in pods)
        return Injection(names, at_ns, uncertainty_ns, before, tuple(groups))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the kernel for the freezers' state, and look a name up in the drill's own pod."""
        frozen = all(stage.machines.is_frozen(group) for group in injection.notes)
        said = stage.pod.ask(["python", "-c", LOOK_UP])
        how = f"the kernel says of {len(injection.notes)} pods: {'frozen' if frozen else 'not frozen'}"
        return Proof(frozen and said == "no answer", f"{how}; looking a name up: {said}")


@dataclass(frozen=True, kw_only=True)
class DeleteAllPostgres(Fault):
    """Every member of Postgres is gone at once, as when a mistake restarts all: one of them must lead with all data."""

    def inject(self, stage: Stage) -> Injection:
        """Delete all pods of Postgres by force."""
        return delete_by_force(stage, stage.inventory.workload("postgres").pods)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the API server has none of the pods of before and each postmaster that answers is another."""
        gone = stage.ask_until(lambda: is_another(stage, injection), GONE_SECONDS, every_seconds=POLL_SECONDS)
        old = set(POSTGRES.starts(injection.before).values())
        kept = old & set(POSTGRES.starts(stage.state()).values()) - {""}
        how = f"{len(kept)} postmasters are those of before" if kept else "no postmaster is of before"
        return Proof(bool(gone) and not kept, f"{gone or 'a pod is still there'}; {how}")
