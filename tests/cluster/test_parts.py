import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hms.cluster import parts
from hms.cluster.addresses import Addresses
from hms.cluster.binaries import BUILT, PACKAGED
from hms.cluster.layout import Layout
from hms.cluster.pki import Identity, ensure_pki, identities
from hms.cluster.supervisor import is_there


@pytest.fixture
def settings() -> parts.Settings:
    return parts.Settings(
        layout=Layout("ci"),
        addresses=Addresses(2),
        nodes=3,
        api_port=40123,
        binaries={name: f"/tools/{name}" for name in (*BUILT, *PACKAGED)},
        cni_directory=Path("/usr/lib/cni"),
        pause_image="localhost/hms-cluster/pause:1",
        node_memory_bytes=6 << 30,
        total_memory_bytes=24 << 30,
        can_lower_oom_score=False,
    )


def text_of(plan: parts.Plan, name: str) -> str:
    (found,) = (text for path, text in plan.files.items() if path.name == name)
    return found


def arguments(plan: parts.Plan, name: str) -> tuple[str, ...]:
    (found,) = (part for part in plan.parts if part.name == name)
    return found.argv


def test_every_daemon_has_an_identity_of_its_own_and_none_is_the_administrators(settings: parts.Settings) -> None:
    plans = [parts.control_plane(settings), *(parts.node(settings, number) for number in (1, 2, 3))]
    configs: list[Any] = [
        yaml.safe_load(text) for plan in plans for path, text in plan.files.items() if path.suffix == ".conf"
        if path.name != "resolv.conf"
    ]  # fmt: skip
    used = [Path(config["users"][0]["user"]["client-key"]).name for config in configs]

    assert "admin.key" not in used
    assert set(used) == {
        "controller-manager.key", "scheduler.key", "volumes.key", "kube-proxy.key", "kube-router.key",
        "node-1.key", "node-2.key", "node-3.key",
    }  # fmt: skip


def test_who_needs_rights_that_kubernetes_does_not_give_by_a_name_starts_once_they_are_given(
    settings: parts.Settings,
) -> None:
    plans = [parts.control_plane(settings), parts.node(settings, 1)]
    given = {"file": str(settings.layout.rights)}

    assert [part.name for plan in plans for part in plan.parts if given in part.wait_for] == ["volumes", "kube-router"]


def test_a_file_is_awaited_until_it_exists(tmp_path: Path) -> None:
    condition = {"file": str(tmp_path / "rights")}
    before = is_there(condition)
    (tmp_path / "rights").touch()

    assert (before, is_there(condition)) == (False, True)


def test_no_daemon_is_told_a_key_in_its_arguments(settings: parts.Settings) -> None:
    plans = [parts.control_plane(settings), parts.node(settings, 1)]

    assert not [word for plan in plans for part in plan.parts for word in part.argv if "PRIVATE KEY" in word]


def test_the_api_server_authorises_by_node_and_role_and_knows_no_anonymous(settings: parts.Settings) -> None:
    flags = arguments(parts.control_plane(settings), "apiserver")

    assert "--authorization-mode=Node,RBAC" in flags
    assert "--anonymous-auth=false" in flags
    assert "--service-cluster-ip-range=10.122.0.0/16" in flags


def test_a_node_gives_its_share_of_the_memory_and_asks_the_api_who_may(settings: parts.Settings) -> None:
    config = yaml.safe_load(text_of(parts.node(settings, 2), "kubelet.yaml"))

    assert config["systemReserved"]["memory"] == str(18 << 30)
    assert config["authentication"]["anonymous"]["enabled"] is False
    assert config["authorization"]["mode"] == "Webhook"
    assert config["cgroupRoot"] == "/hms-ci/node-2"


def test_a_node_is_told_of_when_it_changes_and_not_at_every_look(settings: parts.Settings) -> None:
    config = yaml.safe_load(text_of(parts.node(settings, 2), "kubelet.yaml"))

    assert (config["nodeStatusUpdateFrequency"], config["nodeStatusReportFrequency"]) == ("4s", "5m")


def test_pods_of_a_node_get_addresses_of_that_node(settings: parts.Settings) -> None:
    config = json.loads(text_of(parts.node(settings, 2), "10-pods.conflist"))

    assert config["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.102.2.0/24"}]]


@pytest.mark.parametrize(("can_lower", "restrict"), [(False, "true"), (True, "false")])
def test_oom_scores_are_restricted_only_where_the_right_is_lacking(
    settings: parts.Settings, can_lower: bool, restrict: str
) -> None:
    text = parts.containerd_config(
        parts.Settings(**{**{name: getattr(settings, name) for name in settings.__slots__},
                          "can_lower_oom_score": can_lower}), 1,
    )  # fmt: skip

    assert f"restrict_oom_score_adj = {restrict}\n" in text


def test_an_authority_and_its_keys_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    wanted = [Identity("one", "user-one"), *identities(Addresses(0), 1)]

    ensure_pki(tmp_path / "pki", wanted)
    first = {path.name: path.read_bytes() for path in (tmp_path / "pki").iterdir()}
    ensure_pki(tmp_path / "pki", [*wanted, Identity("two", "user-two")])

    assert {path.name: path.read_bytes() for path in (tmp_path / "pki").iterdir() if "two" not in path.name} == first
    assert (tmp_path / "pki" / "two.crt").exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "pki").iterdir())
