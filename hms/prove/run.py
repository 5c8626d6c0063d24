"""`hms prove`: the steps in their order, and what happens when one of them fails or a person interrupts."""

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from drills.control import run_control
from drills.run import run_drills
from hms.catalogue import default_catalogue_directory, load_catalogue
from hms.cluster import Cluster
from hms.environment import read_environment
from hms.errors import DrillRefusedError, HmsError, UsageError
from hms.evidence_begin import begin_evidence
from hms.evidence_directory import EvidenceDirectory
from hms.images import DEFAULT_REGISTRY, build, deliver
from hms.inventory import Inventory
from hms.judgement import judge_directory
from hms.kubectl import Kubectl, explicit_kubectl
from hms.progress import Progress
from hms.prove.home import ProveHome
from hms.prove.plan import ProvePlan
from hms.prove.proof import Proof
from hms.report import write_report
from hms.stack import PulumiStack
from hms.stack.settings import read_stack_spec
from hms.tools import CLUSTER_TOOLS, IMAGE_TOOLS, STACK_TOOLS, Toolbox, ensure
from loadtests.run import run_load
from smoke.run import run_smoke

KIND_PREFIX = "kind-"
"""kind names the context of a cluster so."""
SLOW_KINDS = (":StatefulSet ", ":Deployment ", ":Job ", ":Namespace ")


class Prover:
    """One run of `hms prove`, from an empty machine to sealed evidence.

    Provisioning goes on from what an earlier run left; measuring always starts anew, in a directory of its own, because
    figures of two runs are not one run's evidence.
    """

    def __init__(self, plan: ProvePlan, home: ProveHome, evidence: EvidenceDirectory, progress: Progress) -> None:
        self._plan = plan
        self._home = home
        self._evidence = evidence
        self._progress = progress
        self._cluster = Cluster(plan.cluster) if plan.own_cluster else None
        self._stack: PulumiStack | None = None

    def provision(self) -> tuple[Toolbox, Kubectl, Inventory]:
        """Take the machine to a running stack, data loaded."""
        say = self._progress.line
        with self._progress.step("tools"):
            toolbox = ensure(self._tools(), progress=say)
        stack = self._pulumi(toolbox)
        with ThreadPoolExecutor(1) as beside:
            # A new stack's secrets take Pulumi ten seconds and need no cluster.
            prepared = beside.submit(stack.prepare, say)
            with self._progress.step("cluster"):
                kubectl = self._reach_cluster(toolbox)
            with self._progress.step("images"):
                archives = build(progress=say)
            with self._progress.step("images into the cluster"):
                self._deliver(archives, registry=stack.spec().registry)
            with self._progress.step("pulumi up"):
                prepared.result()
                self._stack = stack
                stack.up(progress=_slow_parts(say))
                inventory = stack.output()
        return toolbox, kubectl, inventory

    def measure(self, toolbox: Toolbox, kubectl: Kubectl, inventory: Inventory) -> None:
        """Check, load and break the running stack; every figure lands in the evidence."""
        say = self._progress.line
        self._evidence.write("inventory.json", inventory)
        self._evidence.write("environment.json", read_environment(kubectl, inventory, toolbox.versions()))
        with self._progress.step("smoke"):
            run_smoke(inventory, kubectl, self._evidence, progress=say)
        with self._progress.step("load"):
            run_load(
                inventory, kubectl, self._evidence, scenario="first", rate_per_second=self._plan.rate_per_second,
                duration_seconds=self._plan.load_seconds, workers=self._plan.load_workers, progress=say,
            )  # fmt: skip
        with self._progress.step("drills"):
            run_drills(
                self._plan.drills, trials=self._plan.trials, inventory=inventory, kubectl=kubectl,
                evidence=self._evidence, progress=say,
            )  # fmt: skip
        with self._progress.step("negative control"):
            run_control(inventory=inventory, kubectl=kubectl, evidence=self._evidence, progress=say)

    def remove(self) -> None:
        """Remove the stack, and the cluster if a prove made it, and forget both."""
        say = self._progress.line
        if self._stack is not None:
            with self._progress.step("pulumi destroy"):
                self._stack.destroy(progress=_slow_parts(say))
        if self._owns_cluster:
            self._take_down()
        self._home.remove()

    def abandon(self) -> str:
        """After a failure or an interruption, remove what was made; return what the user should know.

        A cluster of ours takes the stack with it. On another cluster the stack is destroyed if `up` was begun.
        """
        if self._owns_cluster:
            self._take_down()
            self._home.remove()
            return "What was made has been removed."
        if self._stack is None:
            return "Nothing was provisioned."
        self._stack.destroy(progress=self._progress.line)
        self._home.remove()
        return "The stack has been removed."

    @property
    def _owns_cluster(self) -> bool:
        return self._cluster is not None and self._home.made_cluster

    def _take_down(self) -> None:
        if self._cluster is not None:
            with self._progress.step("cluster down"):
                self._cluster.down(progress=self._progress.line)

    def _tools(self) -> tuple[str, ...]:
        return (*STACK_TOOLS, *IMAGE_TOOLS, *(CLUSTER_TOOLS if self._cluster else ()))

    def _reach_cluster(self, toolbox: Toolbox) -> Kubectl:
        binary = str(toolbox.path("kubectl"))
        if self._plan.kubeconfig is not None and self._plan.context is not None:
            given = explicit_kubectl(self._plan.kubeconfig, self._plan.context, binary=binary)
            given.reach("--kubeconfig")
            return given
        cluster = Cluster(self._plan.cluster)
        if not cluster.layout.home.exists():
            self._home.note_made_cluster()
        cluster.up(progress=self._progress.line)
        return cluster.kubectl()

    def _deliver(self, archives: Mapping[str, Path], *, registry: str) -> None:
        """Take the images to our cluster, to the stack's registry, or to the kind cluster that the context names."""
        say = self._progress.line
        if self._cluster is not None:
            deliver(archives, cluster=self._cluster, progress=say)
        elif registry != DEFAULT_REGISTRY:
            deliver(archives, registry=registry, progress=say)
        elif str(self._plan.context).startswith(KIND_PREFIX):
            deliver(archives, kind=str(self._plan.context).removeprefix(KIND_PREFIX), progress=say)
        else:
            say(f"the cluster must have {', '.join(sorted(archives))} as {registry}/...; or set hms:registry")

    def _pulumi(self, toolbox: Toolbox) -> PulumiStack:
        return PulumiStack(
            self._plan.stack, config_file=self._home.config_file, backend_url=self._home.backend_url,
            passphrase_file=self._home.passphrase_file, environment=toolbox.environment(),
        )  # fmt: skip


def prove(plan: ProvePlan) -> Proof:
    """Carry out a plan and return what it came to; FAILED claims are in the proof, not an exception.

    Raises `UsageError` and `InvalidSpecError` before anything is made where the plan, the stack's file or the catalogue
    is wrong, and what the failing step raised where one failed, after removing what was made (unless `plan.keep`).
    """
    if plan.kubeconfig is not None and plan.context is not None:
        explicit_kubectl(plan.kubeconfig, plan.context)
    catalogue = load_catalogue(default_catalogue_directory()).short_proof()
    home = ProveHome(plan.stack, plan.cluster if plan.own_cluster else str(plan.context))
    with _terminated_as_interrupted(), home.locked():
        goes_on = home.continues
        try:
            home.prepare(plan.cluster_settings)
            _refuse_unless_drills_allowed(plan, home)
            evidence = begin_evidence("prove", plan.stack, out=plan.evidence)
        except UsageError:
            if not goes_on:
                home.remove()
            raise
        progress = Progress(_count_steps(plan), on_step=lambda step: evidence.append("steps.jsonl", step))
        if goes_on:
            progress.line(f"going on from what an earlier run left on {home.path.name}")
        prover = Prover(plan, home, evidence, progress)
        try:
            prover.measure(*prover.provision())
        except BaseException as error:
            _after_failure(prover, plan, evidence, progress, error)
            raise
        if not plan.keep:
            prover.remove()
        verdicts = judge_directory(evidence, catalogue=catalogue)
        evidence.seal()
        report = write_report(evidence.path, evidence.path.with_suffix(".html"))
        return Proof(
            evidence=evidence.path, report=report, catalogue=catalogue, verdicts=verdicts,
            seconds=progress.elapsed_seconds,
        )  # fmt: skip


def _slow_parts(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return a progress that passes on, of Pulumi's lines, only those of resources that take their time."""

    def pick(line: str) -> None:
        if not line.startswith("pulumi: ") or "error" in line or any(kind in line for kind in SLOW_KINDS):
            say(line)

    return pick


def _after_failure(
    prover: Prover, plan: ProvePlan, evidence: EvidenceDirectory, progress: Progress, error: BaseException
) -> None:
    """Remove what was made, or say where it is; an error in that does not hide the one that led here."""
    progress.line(f"what was measured so far is in {evidence.path}")
    if plan.keep:
        progress.line("kept as it is; `hms prove` goes on from here")
        return
    try:
        progress.line(prover.abandon())
    except (HmsError, KeyboardInterrupt) as second:
        error.add_note(f"removing what was made did not end well: {second or 'interrupted'}; run it again to go on")


def _refuse_unless_drills_allowed(plan: ProvePlan, home: ProveHome) -> None:
    spec = read_stack_spec(plan.stack, home.config_file)
    if spec.drills != "allowed":
        raise DrillRefusedError(
            f"stack {plan.stack}: hms:drills is {spec.drills!r}, and a proof breaks what it proves",
            remedy="Prove a stack that says `hms:drills: allowed`, as dev and ci do.",
        )


def _count_steps(plan: ProvePlan) -> int:
    provision, measure = 5, 4
    removal = 0 if plan.keep else 2 if plan.own_cluster else 1
    return provision + measure + removal


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that a cancelled CI job cleans up, too."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
