"""What the program does with the configuration that Pulumi hands it."""

from pathlib import Path

import pulumi
import pytest

from hms.errors import InvalidSpecError, UsageError
from hms.paths import cluster_context, cluster_kubeconfig
from hms.spec import SECRET_KEYS, ClusterChoice
from infra.program import cluster_access, read_spec
from tests.stack.settings import defaults


def configure(values: dict[str, object]) -> None:
    pulumi.runtime.set_all_config({f"hms:{key}": str(value) for key, value in values.items()})


SECRETS: dict[str, object] = dict.fromkeys(SECRET_KEYS, "made")


def test_a_whole_configuration_is_a_spec() -> None:
    configure({**defaults(drills="allowed"), **SECRETS})
    assert read_spec("hms", "mine").namespace == "hms-mine"


def test_without_its_secrets_it_is_refused_with_the_command_that_makes_them() -> None:
    configure(defaults())
    with pytest.raises(UsageError, match=r"15 of its 15 secrets are not set(.|\n)*hms up --stack mine"):
        read_spec("hms", "mine")


def test_bad_values_come_before_missing_secrets() -> None:
    configure(defaults(postgresMembers=2, appReplicas=0))
    with pytest.raises(InvalidSpecError, match="3 problems"):
        read_spec("hms", "mine")


class TestClusterAccess:
    def test_the_environments_kubeconfig_has_no_say(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mine, other = tmp_path / "mine", tmp_path / "other"
        mine.touch()
        other.touch()
        monkeypatch.setenv("KUBECONFIG", str(other))
        assert cluster_access(ClusterChoice(test_cluster="", kubeconfig=str(mine), context="c")) == (mine, "c")

    def test_a_test_cluster_is_found_by_its_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        path = cluster_kubeconfig("here")
        path.parent.mkdir(parents=True)
        path.touch()
        choice = ClusterChoice(test_cluster="here", kubeconfig="", context="")
        assert cluster_access(choice) == (path, cluster_context("here"))

    def test_one_that_is_not_up_is_refused_with_the_command_that_starts_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        with pytest.raises(UsageError, match="hms cluster up --name here"):
            cluster_access(ClusterChoice(test_cluster="here", kubeconfig="", context=""))

    def test_a_kubeconfig_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"kubeconfig .*absent: no such file"):
            cluster_access(ClusterChoice(test_cluster="", kubeconfig=str(tmp_path / "absent"), context="c"))
