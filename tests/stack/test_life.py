"""One stack on the test cluster, from nothing to nothing: made, cut off, finished, unchanged, changed, removed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hms.cli.main import cli
from hms.cluster import Cluster
from hms.errors import StackError, UsageError
from hms.images import IMAGES, reference
from hms.paths import project_root
from hms.stack.orphans import end_orphans
from tests.proved import ProvedStack
from tests.stack.life import STACK, StackLife, generations, pod_identities

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.fault]

NAMESPACE = "hms-t-life"


def quiet(_: str) -> None:
    """Show nothing."""


@pytest.fixture(scope="module")
def life(proof: ProvedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackLife]:
    found = StackLife(folder=tmp_path_factory.mktemp("life"), cluster=proof.cluster.name, namespace=NAMESPACE)
    found.prepare(project_root() / "stacks" / f"Pulumi.{STACK}.yaml")
    yield found
    found.stack.destroy(quiet)


def checkout_settings() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(project_root() / "stacks").iterdir())}


class TestLife:
    """The tests of this class are one story and run in the order in which they stand."""

    def test_pulumi_killed_in_the_middle_is_continued_by_the_next_up(self, life: StackLife) -> None:
        before = checkout_settings()
        with pytest.raises(StackError, match="pulumi up ended with exit code -9"):
            life.stack.up(life.kill_at("ConfigMap redis-config created"))
        assert life.holders() == []
        life.stack.up(life.progress)
        assert any("which is gone, is removed" in line for line in life.lines)
        assert end_orphans(life.backend_url) == []
        assert life.stack.output().namespace == NAMESPACE
        assert checkout_settings() == before

    def test_everything_is_ready_when_up_has_ended(self, life: StackLife) -> None:
        inventory = life.stack.output()
        kubectl = life.stack.kubectl()
        for workload in inventory.workloads:
            pods = kubectl.pods(workload.selector)
            assert len(pods) == workload.replicas, workload.name
            assert all(status["ready"] for pod in pods for status in pod["status"]["containerStatuses"])
        (job,) = kubectl.get("jobs")["items"]
        assert job["status"]["succeeded"] == 1

    def test_up_is_refused_before_it_begins_where_an_image_is_missing(self, life: StackLife) -> None:
        images = [reference(image) for image in IMAGES]
        assert Cluster(life.cluster).lacking([*images, "example.test/hms/app:0"]) == ["example.test/hms/app:0"]
        other = life.folder / "other.yaml"
        content = yaml.safe_load(life.config_file.read_text())
        content["config"]["hms:registry"] = "example.test/hms"
        other.write_text(yaml.safe_dump(content))
        done = CliRunner().invoke(cli, ["up", "-y", "--stack", STACK, "--config-file", str(other)])
        assert isinstance(done.exception, UsageError)
        assert "example.test/hms/app:" in done.exception.message
        assert done.exception.remedy == (
            f"Run `hms images --cluster {life.cluster}`; whoever changes a file of an image makes another image."
        )

    def test_members_of_one_workload_are_on_different_nodes(self, life: StackLife) -> None:
        kubectl = life.stack.kubectl()
        for workload in life.stack.output().workloads:
            if workload.kind == "StatefulSet":
                nodes = [pod["spec"]["nodeName"] for pod in kubectl.pods(workload.selector)]
                assert len(set(nodes)) == len(nodes), workload.name

    def test_up_again_changes_nothing_and_preview_and_refresh_hold(self, life: StackLife) -> None:
        kubectl = life.stack.kubectl()
        before, pods = generations(kubectl), pod_identities(kubectl)
        life.first_pods = pods
        life.stack.up(life.progress)
        life.stack.preview(life.progress, expect_no_changes=True)
        life.stack.refresh(life.progress, expect_no_changes=True)
        assert generations(kubectl) == before
        assert pod_identities(kubectl) == pods

    def test_a_pod_that_never_becomes_ready_is_named_with_its_reason(self, life: StackLife) -> None:
        life.set(sentinelCpuRequest="200", sentinelCpuLimit="200", readyTimeoutSeconds="15")
        with pytest.raises(StackError) as caught:
            life.stack.up(life.progress)
        told = str(caught.value)
        assert "pod sentinel-2: not scheduled: " in told
        assert "Insufficient cpu" in told
        assert "event FailedScheduling: " in told

    def test_a_corrected_stack_goes_on_and_a_changed_limit_has_rolled_that_workload_alone(
        self, life: StackLife
    ) -> None:
        kubectl = life.stack.kubectl()
        life.set(sentinelCpuRequest="20m", sentinelCpuLimit="400m", readyTimeoutSeconds="300")
        with pytest.raises(StackError):
            life.stack.preview(life.progress, expect_no_changes=True)
        life.stack.up(life.progress)
        (_, _, last) = kubectl.pods({"app.kubernetes.io/name": "sentinel"})
        assert last["status"]["phase"] == "Running"
        (container,) = last["spec"]["containers"]
        assert container["resources"]["limits"]["cpu"] == "400m"
        before, after = life.first_pods, pod_identities(kubectl)
        assert {workload for workload in before if before[workload] != after[workload]} == {"sentinel"}

    def test_destroy_leaves_nothing(self, life: StackLife) -> None:
        kubectl = life.stack.kubectl()
        life.stack.destroy(life.progress)
        assert NAMESPACE not in kubectl.run("get", "namespaces", "-o", "name")
        volumes = kubectl.get("persistentvolumes")["items"]
        assert not [v for v in volumes if v["spec"].get("claimRef", {}).get("namespace") == NAMESPACE]
        life.stack.destroy(life.progress)
