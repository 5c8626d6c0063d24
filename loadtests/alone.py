"""A load on a service that somebody started on this machine, outside a stack: Locust as processes beside it."""

import subprocess
import sys
from contextlib import ExitStack

from hms.bench.processes import free_port
from hms.errors import LoadError
from hms.evidence import LoadRun
from hms.evidence_directory import EvidenceDirectory
from hms.paths import project_root
from loadtests.jobs import SETTLE_SECONDS, stream_arguments
from loadtests.keep import Progress, keep
from loadtests.plan import LoadPlan
from loadtests.record import checked_record

_LOCUST = (sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py")


def run_alone(plan: LoadPlan, evidence: EvidenceDirectory, progress: Progress) -> LoadRun:
    """Run a plan with Locust on this machine, keep its record, and return it. Raises `LoadError` as `run_plan` does.

    With one worker it is one process, as Locust's users know it; with more, a master and its workers.
    """
    progress(f"{plan.scenario}: {plan.rate_per_second:g} arrivals/s for {plan.duration_seconds:g} s on {plan.target}")
    with ExitStack() as stack:
        together: list[str] = []
        if plan.workers > 1:
            port = str(free_port())
            together = ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
                        "--expect-workers", str(plan.workers), "--expect-workers-max-wait", "60"]  # fmt: skip
            worker = ["--worker", "--master-host", "127.0.0.1", "--master-port", port, plan.user_class]
            for _ in range(plan.workers):
                silent = subprocess.Popen(
                    [*_LOCUST, *worker], cwd=project_root(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )  # fmt: skip
                stack.callback(_ended, silent)
        master = [*_LOCUST, *together, "--headless", "--only-summary", *stream_arguments(plan)]
        try:
            done = subprocess.run(
                master, cwd=project_root(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                timeout=plan.duration_seconds + SETTLE_SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"load {plan.scenario}: no end within {error.timeout:g} s") from error
    return keep(checked_record(plan, done.stdout + done.stderr), evidence, progress)


def _ended(process: subprocess.Popen[bytes]) -> None:
    """End a worker that its master has left behind."""
    process.kill()
    process.wait()
