"""The Job that makes a history, its progress, and what a command that makes no sense is told."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hms.cli.data import data
from hms.data.fill import FILL_LABEL, fill_job, progress_line
from hms.errors import UsageError

OWN: dict[str, Any] = {
    "metadata": {"name": "load-data-0a1b2c"},
    "spec": {
        "template": {
            "metadata": {
                "labels": {
                    "app.kubernetes.io/name": "load-data",
                    "batch.kubernetes.io/controller-uid": "u",
                    "job-name": "load-data-0a1b2c",
                }
            },
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True},
                "containers": [
                    {"name": "load-data", "image": "app:1", "command": ["sh", "-c", "x"], "env": [{"name": "A"}]}
                ],
            },
        }
    },
}


def test_the_job_is_the_stack_s_own_but_for_its_command_and_name() -> None:
    job = fill_job(OWN, run="r1", rows=10_000_000)
    labels = {"app.kubernetes.io/name": "load-data", FILL_LABEL: "r1"}
    assert job["metadata"] == {"name": "fill-r1", "labels": labels}
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    pod = job["spec"]["template"]["spec"]
    own = OWN["spec"]["template"]["spec"]
    assert {**pod, "containers": own["containers"]} == own
    (container,) = pod["containers"]
    assert container["command"] == ["python", "-m", "app.load", "--generate", "10000000"]
    assert {**container, "command": ["sh", "-c", "x"]} == own["containers"][0]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            '{"level": "INFO", "message": "release generated", "release": "r-00001", "rows": 196372, '
            '"rows_per_second": 9000}',
            "r-00001: 196,372 rows, 9,000 rows/s",
        ),
        ('{"level": "WARNING", "message": "the primary was lost, once more"}', "the primary was lost, once more"),
        ('{"level": "INFO", "message": "history is there"}', ""),
        ("Traceback", ""),
        ("[]", ""),
    ],
)
def test_progress_is_told_as_it_comes(line: str, told: str) -> None:
    assert progress_line(line) == told


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--rows", "many"], "--rows 'many': must be a whole number from 0 to 100,000,000"),
        (["--rows", "100_000_001"], "--rows '100_000_001'"),
        (["--months", "13", "--searches", "5"], "--months '13': must be a whole number from 0 to 12"),
        (["--searches", "-1"], "--searches '-1': must be a whole number from 0 to 10,000,000"),
        ([], "nothing to do"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], named: str, inventory_file: Path) -> None:
    result = CliRunner().invoke(data, ["--inventory", str(inventory_file), *options])
    assert isinstance(result.exception, UsageError)
    assert named in str(result.exception)
