"""Faults of the app, all of which the Kubernetes API alone can do."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from drills.faults.fault import Fault
from drills.faults.pods import delete_by_force, is_another, running_pods, uid_of
from drills.stage import Injection, Proof, Stage
from hms.errors import HmsError, KubectlError

GONE_SECONDS = 10.0
POLL_SECONDS = 0.5
ROLLOUT_SECONDS = 120.0
OOM_SECONDS = 20.0
STARVED_SECONDS = 8.0
SPINNERS = 8

# What is in such a file counts for the container and for no process: the kernel takes the largest one, the server.
EAT = """
import os
fd = os.memfd_create("eaten")
while True:
    os.write(fd, bytes(1 << 20))
"""
# They end with their time, whatever becomes of who started them.
SPIN = """
cat "$1"; i=0
while [ $i -lt "$2" ]; do timeout "$3" sh -c "while :; do :; done" & i=$((i + 1)); done
wait; cat "$1"
"""
THROTTLED = "/sys/fs/cgroup/cpu.stat"
THROTTLED_V1 = "/sys/fs/cgroup/cpu/cpu.stat"


def the_pods(stage: Stage) -> tuple[str, ...]:
    """Return the app's pods that run; `HmsError` if there are not two at least."""
    running = running_pods(stage, stage.inventory.workload("app").selector)
    if len(running) < 2:
        raise HmsError(f"the app has {len(running)} running pods: one cannot be broken while others serve")
    return running


def container_of(stage: Stage) -> str:
    """Return the name of the server's container."""
    return stage.inventory.workload("app").containers[0].name


@dataclass(frozen=True, kw_only=True)
class DeletePods(Fault):
    """Pods of the app are deleted by force: their requests break, the Service must lead to those that are left."""

    all_but_one: bool = False

    def inject(self, stage: Stage) -> Injection:
        """Delete the first pod, or all but the last."""
        pods = the_pods(stage)
        return delete_by_force(stage, pods[:-1] if self.all_but_one else pods[:1])

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the API server for the pods."""
        gone = stage.ask_until(lambda: is_another(stage, injection), GONE_SECONDS, every_seconds=POLL_SECONDS)
        return Proof(bool(gone), gone or "a pod is still there")


@dataclass(frozen=True, kw_only=True)
class RollingUpdate(Fault):
    """Every pod of the app is replaced, as by an update, while requests come."""

    def inject(self, stage: Stage) -> Injection:
        """Have the Deployment restart its pods."""
        before = stage.state()
        notes = tuple(f"pod/{pod}={uid_of(stage.kubectl, 'pod', pod)}" for pod in the_pods(stage))
        name = stage.inventory.workload("app").name
        at_ns, uncertainty_ns = stage.moment()
        stage.kubectl.run("rollout", "restart", f"deployment/{name}")
        return Injection(name, at_ns, uncertainty_ns, before, notes)

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait until the update is through and the API server has none of the pods of before."""
        stage.kubectl.run(
            "rollout", "status", f"deployment/{injection.target}", f"--timeout={ROLLOUT_SECONDS:.0f}s",
            timeout_seconds=ROLLOUT_SECONDS + 5,
        )  # fmt: skip
        gone = stage.ask_until(lambda: is_another(stage, injection), ROLLOUT_SECONDS, every_seconds=POLL_SECONDS)
        return Proof(bool(gone), gone or "a pod of before is still there")


@dataclass(frozen=True, kw_only=True)
class OutOfMemory(Fault):
    """One pod's container reaches its memory limit: the kernel kills its server."""

    def inject(self, stage: Stage) -> Injection:
        """Fill the first pod's memory, from inside its container, until the kernel ends it."""
        before = stage.state()
        target = the_pods(stage)[0]
        container_id, _ = self._ended(stage, target)
        at_ns, uncertainty_ns = stage.moment()
        # It ends with its container, which is an error of the command's, or in the prover's eyes not at all.
        with suppress(KubectlError):
            stage.kubectl.exec(target, container_of(stage), ["python", "-c", EAT], timeout_seconds=OOM_SECONDS)
        return Injection(target, at_ns, uncertainty_ns, before, (container_id,))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Wait for the kubelet's word of how the container ended.

        Not for its being started again, which the kubelet puts off by minutes where that happens again and again.
        """

        def ended() -> str | None:
            container_id, how = self._ended(stage, injection.target)
            return how if container_id and container_id != injection.notes[0] else None

        how = stage.ask_until(ended, OOM_SECONDS, every_seconds=POLL_SECONDS) or "its container did not end"
        return Proof("OOMKilled" in how, how)

    def _ended(self, stage: Stage, pod: str) -> tuple[str, str]:
        """Return which container of the pod was the last to end, and how."""
        statuses = stage.kubectl.get("pod", pod)["status"].get("containerStatuses") or []
        status: dict[str, Any] = next((one for one in statuses if one["name"] == container_of(stage)), {})
        states = (status.get(name, {}).get("terminated") for name in ("state", "lastState"))
        ended: dict[str, Any] = next((state for state in states if state), {})
        return str(ended.get("containerID", "")), f"{ended.get('reason', '-')}, exit code {ended.get('exitCode', '-')}"


@dataclass(frozen=True, kw_only=True)
class StarveOfCpu(Fault):
    """One pod's CPU is taken by others inside its own limit: it answers slowly, and must not drag the rest along."""

    def inject(self, stage: Stage) -> Injection:
        """Have processes spin beside the first pod's server, and see how often the kernel throttled them meanwhile."""
        before = stage.state()
        target = the_pods(stage)[0]
        container = container_of(stage)
        find = f"[ -e {THROTTLED} ] && echo {THROTTLED} || echo {THROTTLED_V1}"
        file = stage.kubectl.exec(target, container, ["sh", "-c", find]).strip()
        at_ns, uncertainty_ns = stage.moment()
        argv = ["sh", "-c", SPIN, "sh", file, str(SPINNERS), f"{STARVED_SECONDS:g}"]
        said = stage.kubectl.exec(target, container, argv, timeout_seconds=STARVED_SECONDS + 30)
        counts = [line.split()[1] for line in said.splitlines() if line.startswith("nr_throttled ")]
        return Injection(target, at_ns, uncertainty_ns, before, tuple(counts))

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Take the kernel's count of periods in which the container had used up its share."""
        if len(injection.notes) != 2:
            return Proof(False, "the kernel's counters could not be read")
        periods = int(injection.notes[1]) - int(injection.notes[0])
        return Proof(periods > 0, f"throttled in {periods} periods of the kernel's")
