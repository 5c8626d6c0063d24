import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from hms.cluster.volumes import CLAIMS, SELECTED_NODE, VOLUMES, Provisioner, is_to_remove, volume, wanted_node

CLASS = "hms-local"


def claim(**changes: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "data-postgres-0",
            "namespace": "hms-ci",
            "uid": "8fff289f",
            "annotations": {SELECTED_NODE: "node-2"},
            **changes.pop("metadata", {}),
        },
        "spec": {
            "storageClassName": CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
            **changes,
        },
    }


def released(phase: str = "Released", **spec: Any) -> dict[str, Any]:
    made = volume(claim(), "node-2", CLASS)
    return {**made, "spec": {**made["spec"], **spec}, "status": {"phase": phase}}


def test_a_claim_waits_until_the_scheduler_chose_a_node() -> None:
    assert wanted_node(claim(), CLASS) == "node-2"
    assert wanted_node(claim(metadata={"annotations": {}}), CLASS) is None


@pytest.mark.parametrize(
    "other",
    [
        claim(storageClassName="another"),
        claim(volumeName="pvc-1"),
        claim(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}),
    ],
)
def test_claims_that_are_not_ours_or_are_served_are_left_alone(other: dict[str, Any]) -> None:
    assert wanted_node(other, CLASS) is None


def test_a_volume_is_bound_to_its_claim_and_its_node() -> None:
    made = volume(claim(), "node-2", CLASS)

    assert made["spec"]["claimRef"]["uid"] == "8fff289f"
    assert made["spec"]["capacity"] == {"storage": "2Gi"}
    assert made["spec"]["local"]["path"] == "/run/hms/volumes/pvc-8fff289f"
    (expression,) = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"]
    assert expression == {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-2"]}


def test_only_a_volume_of_ours_whose_claim_is_gone_is_removed() -> None:
    assert is_to_remove(released())
    assert not is_to_remove(released("Bound"))
    assert not is_to_remove(released(persistentVolumeReclaimPolicy="Retain"))
    foreign = released()
    foreign["metadata"]["annotations"] = {}
    assert not is_to_remove(foreign)


class Api:
    """An API server that holds volumes by name, and answers with the codes of the real one."""

    def __init__(self) -> None:
        self.volumes: dict[str, Any] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path == VOLUMES:
            made = json.loads(request.content)
            if made["metadata"]["name"] in self.volumes:
                return httpx.Response(409)
            self.volumes[made["metadata"]["name"]] = made
            return httpx.Response(201, json=made)
        name = request.url.path.removeprefix(f"{VOLUMES}/")
        if request.method == "DELETE":
            return httpx.Response(200 if self.volumes.pop(name, None) else 404)
        return httpx.Response(405)


def test_each_step_may_be_done_again(tmp_path: Path) -> None:
    server = Api()
    directory = tmp_path / "node-2" / "volumes" / "pvc-8fff289f"

    async def scenario() -> None:
        async with httpx.AsyncClient(base_url="https://api", transport=httpx.MockTransport(server)) as api:
            provisioner = Provisioner(api=api, home=tmp_path, storage_class=CLASS)
            for _ in range(2):
                await provisioner.claim_changed(claim())
            assert list(server.volumes) == ["pvc-8fff289f"]
            assert directory.is_dir()
            (directory / "base").write_text("data")
            for _ in range(2):
                await provisioner.volume_changed(released())

    asyncio.run(scenario())

    assert not server.volumes
    assert not directory.exists()


def test_a_watch_that_breaks_is_taken_up_from_the_beginning(tmp_path: Path) -> None:
    lists = 0
    done = asyncio.Event()

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal lists
        if request.url.params.get("watch"):
            event = {"type": "ADDED", "object": claim(metadata={"uid": "second", "annotations": {}})}
            return httpx.Response(200, content=json.dumps(event) + "\n")
        if request.url.path == CLAIMS:
            lists += 1
            if lists == 1:
                return httpx.Response(500)
            return httpx.Response(200, json={"metadata": {"resourceVersion": "1"}, "items": [claim()]})
        done.set()
        return httpx.Response(201, json={})

    async def scenario() -> None:
        async with httpx.AsyncClient(base_url="https://api", transport=httpx.MockTransport(answer)) as api:
            provisioner = Provisioner(api=api, home=tmp_path, storage_class=CLASS, retry_seconds=0.0)
            following = asyncio.create_task(provisioner.follow(CLAIMS))
            await asyncio.wait_for(done.wait(), 10)
            following.cancel()

    asyncio.run(scenario())

    assert lists >= 2
