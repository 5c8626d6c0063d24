from typing import Any

import msgspec

from drills.pod import make_settings, manifest
from drills.wire import SETTINGS_VARIABLE, Settings
from tests.drills.inventories import inventory


def pod() -> dict[str, Any]:
    stack = inventory()
    return manifest(stack, make_settings(stack, run="r"))


def test_it_meets_the_restricted_pod_security_standard() -> None:
    spec = pod()["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}


def test_of_each_secret_it_mounts_the_drills_part_alone() -> None:
    mounted = {
        volume["secret"]["secretName"]: [item["key"] for item in volume["secret"]["items"]]
        for volume in pod()["spec"]["volumes"]
        if "secret" in volume
    }
    assert mounted == {
        "postgres-credentials": ["drill-password"],
        "redis-credentials": ["drill-password"],
        "postgres-tls": ["ca.crt"],
        "app-credentials": ["internal-key"],
    }


def test_its_programs_read_the_settings_that_were_made() -> None:
    stack = inventory()
    settings = make_settings(stack, run="r")
    for container in manifest(stack, settings)["spec"]["containers"]:
        (variable,) = container["env"]
        assert variable["name"] == SETTINGS_VARIABLE
        assert msgspec.json.decode(variable["value"], type=Settings) == settings
    assert settings.redis.minimum_replicas == 1
