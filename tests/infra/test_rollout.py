"""An update ends only when its StatefulSets' pods are of the new generation, whatever the provider says."""

import asyncio
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks, set_mocks
from pulumi.runtime.stack import run_pulumi_func
from pulumi_kubernetes.apps.v1 import StatefulSet

from hms.kubectl import Kubectl
from infra.rollout import rolled_out
from tests.infra.recording import event_loop

KUBECTL = """#!/bin/sh
echo "$*" >> {calls}
echo "error: timed out waiting for the condition" >&2
exit {code}
"""


class Answering(Mocks):
    """A cluster whose StatefulSets have the generation and the status that the test wants."""

    def __init__(self, generation: int, observed: int | None) -> None:
        self.generation = generation
        self.status = {"replicas": 3} if observed is None else {"replicas": 3, "observedGeneration": observed}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        metadata = {**args.inputs["metadata"], "generation": self.generation}
        return args.name, {**args.inputs, "metadata": metadata, "status": self.status}

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program invoked {args.token}")


def run(folder: Path, mocks: Answering, *, code: int = 0, preview: bool = False) -> list[str]:
    """Run a program of one StatefulSet that is awaited; return the calls of kubectl, which ends with `code`."""
    calls, binary = folder / "calls", folder / "kubectl"
    calls.touch()
    binary.write_text(KUBECTL.format(calls=calls, code=code))
    binary.chmod(0o755)
    cluster = Kubectl(folder / "config", "here", str(binary), "hms-test")

    def program() -> None:
        made = StatefulSet("redis", metadata={"name": "redis"})
        pulumi.export("waited", rolled_out(made, cluster, timeout_seconds=7))

    with event_loop() as loop:
        set_mocks(mocks, project="hms", stack="test", preview=preview)
        asyncio.set_event_loop(loop)
        loop.run_until_complete(run_pulumi_func(program))
    return calls.read_text().splitlines()


@pytest.mark.parametrize("observed", [1, None])
def test_a_status_of_an_earlier_generation_is_waited_for(tmp_path: Path, observed: int | None) -> None:
    (call,) = run(tmp_path, Answering(2, observed))
    assert call.endswith("--context here --namespace hms-test rollout status statefulset/redis --timeout=7s")


def test_a_status_of_this_generation_is_believed(tmp_path: Path) -> None:
    assert run(tmp_path, Answering(2, 2)) == []


def test_a_preview_waits_for_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, Answering(2, 1), preview=True) == []


def test_pods_that_do_not_come_fail_the_update_by_name(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"StatefulSet redis: not rolled out within 7 s: .*timed out waiting"):
        run(tmp_path, Answering(2, 1), code=1)
