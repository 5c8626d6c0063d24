"""Fill a running stack, with progress; what was cut off goes on where it was."""

import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from hms.data.search_history import fill_month, months_before
from hms.errors import StackError, UsageError
from hms.inventory import Inventory
from hms.kubectl import Kubectl

Progress = Callable[[str], None]

JOB_PREFIX = "load-data-"
"""How the stack's own Job begins that loads the release: its pod is the template."""

FILL_LABEL = "hms.data/fill"
BYTES_PER_ROW = 600
"""Half a kilobyte in the table and its key (`hms bench app --only history`), and some for what is not."""

START_SECONDS = 120.0
_PSQL = ("psql", "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--set", "ON_ERROR_STOP=1", "--username",
         "postgres", "--dbname")  # fmt: skip
_STATE = """
SELECT json_build_object(
  'rows', (SELECT coalesce(sum(codes), 0) FROM icd10_releases),
  'bytes', pg_database_size(current_database()), 'directory', current_setting('data_directory'))
"""


class Filler:
    """What fills a stack: the primary's psql, and Jobs made of the stack's own."""

    def __init__(self, inventory: Inventory, kubectl: Kubectl, progress: Progress) -> None:
        self._inventory = inventory
        self._cluster = kubectl.within(inventory.namespace)
        self._say = progress
        self._primary = ""

    def history(self, rows: int) -> None:
        """Store generated releases until there are `rows` rows; refuses what the primary's volume cannot take."""
        before = self._state()
        missing = max(0, rows - before["rows"])
        available = self._available_bytes(str(before["directory"]))
        if missing * BYTES_PER_ROW > available:
            raise UsageError(
                f"rows {rows:,}: {missing:,} more take {missing * BYTES_PER_ROW:,} bytes; the volume of "
                f"{self._primary} has {available:,}, enough for {before['rows'] + available // BYTES_PER_ROW:,}",
                remedy="Give the stack a larger hms:postgresStorage, or ask for fewer rows.",
            )
        began = time.monotonic()
        if missing:
            self._generate(rows)
        after, seconds = self._state(), time.monotonic() - began
        added = after["rows"] - before["rows"]
        pace = added / max(seconds, 0.001)
        self._say(
            f"history: {after['rows']:,} rows, {added:,} new in {seconds:.0f} s ({pace:,.0f} rows/s), "
            f"the database {after['bytes'] / 2**30:.2f} GiB"
        )

    def searches(self, *, months: int, rows: int) -> None:
        """Fill the search log of so many past months with `rows` rows each."""
        for month in months_before(datetime.now(UTC).date(), months):
            began = time.monotonic()
            added = int(self._psql(fill_month(month, rows), timeout_seconds=1800.0).split()[-1])
            seconds = time.monotonic() - began
            self._say(f"searches of {month:%Y-%m}: {added:,} new of {rows:,} in {seconds:.1f} s")

    def _state(self) -> dict[str, Any]:
        return dict(json.loads(self._psql(_STATE)))

    def _psql(self, text: str, *, timeout_seconds: float = 60.0) -> str:
        if not self._primary:
            self._primary = self._find_primary()
        argv = [*_PSQL, self._inventory.postgres.database]
        return self._cluster.exec(self._primary, "postgres", argv, stdin=text, timeout_seconds=timeout_seconds)

    def _find_primary(self) -> str:
        for pod in self._inventory.workload("postgres").pods:
            answer = self._cluster.exec(
                pod, "postgres", [*_PSQL, "postgres"], stdin="SELECT pg_is_in_recovery();"
            )  # fmt: skip
            if answer.strip() == "f":
                return pod
        raise StackError("no member of Postgres says that it is the primary", remedy="Look at `hms smoke` first.")

    def _available_bytes(self, directory: str) -> int:
        shown = self._cluster.exec(self._primary, "postgres", ["df", "--output=avail", "-B1", directory])
        return int(shown.split()[-1])

    def _generate(self, rows: int) -> None:
        """Run `python -m app.load --generate` in a pod like that of the stack's own data Job, and follow it."""
        run = token_hex(4)
        self._cluster.run("create", "-f", "-", stdin=json.dumps(fill_job(self._own_job(), run=run, rows=rows)))
        try:
            self._follow(self._started(run))
        finally:
            self._cluster.run(
                "delete", "jobs", "-l", f"{FILL_LABEL}={run}", "--cascade=foreground", "--ignore-not-found",
                timeout_seconds=60.0,
            )  # fmt: skip

    def _own_job(self) -> dict[str, Any]:
        jobs = [job for job in self._cluster.get("jobs")["items"] if job["metadata"]["name"].startswith(JOB_PREFIX)]
        if not jobs:
            raise StackError("the stack has no Job that loaded its release", remedy="Run `hms up` first.")
        newest: dict[str, Any] = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]))
        return newest

    def _started(self, run: str) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for pod in self._cluster.pods({FILL_LABEL: run}):
                if pod["status"].get("phase") in {"Running", "Succeeded", "Failed"}:
                    return str(pod["metadata"]["name"])
            time.sleep(0.5)
        raise StackError(f"the pod that makes the history did not begin within {START_SECONDS:g} s")

    def _follow(self, pod: str) -> None:
        lines: list[str] = []
        with subprocess.Popen(
            self._cluster.command("logs", "--follow", pod), stdout=subprocess.PIPE, text=True
        ) as logs:  # fmt: skip
            for line in logs.stdout or ():
                lines.append(line)
                if told := progress_line(line):
                    self._say(told)
        deadline = time.monotonic() + START_SECONDS
        while (phase := self._cluster.run("get", "pod", pod, "-o", "jsonpath={.status.phase}")) == "Running":
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)
        if phase != "Succeeded":
            raise StackError(
                f"the history was not finished: {lines[-1].strip() if lines else 'nothing was said'}",
                remedy="Run it again: whole releases stay, and it goes on from them.",
            )


def fill_job(own: dict[str, Any], *, run: str, rows: int) -> dict[str, Any]:
    """Return a Job whose pod is that of the stack's own data Job `own`, but makes a history of `rows` rows. Pure."""
    template = own["spec"]["template"]
    kept = {k: v for k, v in template["metadata"]["labels"].items() if k.startswith("app.kubernetes.io/")}
    labels = {**kept, FILL_LABEL: run}
    (container,) = template["spec"]["containers"]
    pod = {
        **template["spec"],
        "containers": [{**container, "command": ["python", "-m", "app.load", "--generate", str(rows)]}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"fill-{run}", "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 300,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def progress_line(line: str) -> str:
    """Return what a line of the program's log says of its progress, for a person; empty if it says nothing of it."""
    try:
        said = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    if said.get("message") == "release generated":
        return f"{said['release']}: {said['rows']:,} rows, {said['rows_per_second']:,} rows/s"
    return str(said["message"]) if said.get("level") in {"WARNING", "ERROR", "warning", "error"} else ""
