"""The provisioner of the StorageClass: a directory per volume, on the node that the scheduler chose.

A daemon of the control plane. It follows the contract of an external provisioner: a claim of our class that bears the
selected node's annotation gets a `local` PersistentVolume bound to it, and a volume whose claim is gone is removed with
its directory. The directory's size is not limited; a claim's request is recorded as the volume's capacity.

State is in the API alone, so it may be killed at any moment: every step can be done again.
"""

import argparse
import asyncio
import json
import shutil
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

from hms.cluster.layout import INSIDE

PROVISIONER = "hms.cluster/volumes"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
RETRY_SECONDS = 1.0

Object = dict[str, Any]


def volume_name(claim: Object) -> str:
    """Return the one name that a claim's volume can have, so that making it twice makes one."""
    return f"pvc-{claim['metadata']['uid']}"


def wanted_node(claim: Object, storage_class: str) -> str | None:
    """Return the node on which a claim wants its volume, or nothing if there is nothing to do for it."""
    metadata, spec = claim["metadata"], claim["spec"]
    if spec.get("storageClassName") != storage_class or spec.get("volumeName") or "deletionTimestamp" in metadata:
        return None
    node = (metadata.get("annotations") or {}).get(SELECTED_NODE)
    return str(node) if node else None


def volume(claim: Object, node: str, storage_class: str) -> Object:
    """Return the PersistentVolume of a claim on a node."""
    metadata = claim["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": storage_class,
            "volumeMode": "Filesystem",
            "local": {"path": str(INSIDE / "volumes" / volume_name(claim))},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
                    ]
                }
            },
        },
    }


def node_of(persistent_volume: Object) -> str:
    """Return the node that one of our volumes is on."""
    terms = persistent_volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    return str(terms[0]["matchExpressions"][0]["values"][0])


def is_to_remove(persistent_volume: Object) -> bool:
    """Return whether a volume is ours and its claim is gone."""
    annotations = persistent_volume["metadata"].get("annotations") or {}
    return (
        annotations.get(PROVISIONED_BY) == PROVISIONER
        and persistent_volume.get("status", {}).get("phase") in ("Released", "Failed")
        and persistent_volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
    )


class Provisioner:
    """Makes and removes volumes as claims come and go; after an error it waits `retry_seconds`."""

    def __init__(
        self, *, api: httpx.AsyncClient, home: Path, storage_class: str, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._api = api
        self._retry_seconds = retry_seconds
        self._home = home
        self._storage_class = storage_class

    async def claim_changed(self, claim: Object) -> None:
        """Make the volume of a claim that wants one."""
        node = wanted_node(claim, self._storage_class)
        if node is None:
            return
        directory = self._directory(node, volume_name(claim))
        directory.mkdir(parents=True, exist_ok=True)
        # As `emptyDir`: whoever the pod runs as may write; with `fsGroup` the kubelet narrows the group.
        directory.chmod(0o777)
        answer = await self._api.post(VOLUMES, json=volume(claim, node, self._storage_class))
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()
            say(f"{claim['metadata']['namespace']}/{claim['metadata']['name']}: {directory}")

    async def volume_changed(self, persistent_volume: Object) -> None:
        """Remove a volume whose claim is gone: first the directory, so that none is forgotten."""
        if not is_to_remove(persistent_volume):
            return
        name = persistent_volume["metadata"]["name"]
        directory = self._directory(node_of(persistent_volume), name)
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
        answer = await self._api.delete(f"{VOLUMES}/{name}")
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()
            say(f"{name}: removed")

    def _directory(self, node: str, name: str) -> Path:
        return self._home / node / "volumes" / name

    async def _events(self, path: str) -> AsyncIterator[Object]:
        """Yield every object, then every change, until the server ends the watch."""
        listed = (await self._api.get(path)).raise_for_status().json()
        for item in listed["items"]:
            yield item
        parameters = {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with self._api.stream("GET", path, params=parameters) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["object"]

    async def follow(self, path: str) -> None:
        """Act on every claim or volume for ever; after an error, from the beginning."""
        act = self.claim_changed if path == CLAIMS else self.volume_changed
        while True:
            try:
                async for item in self._events(path):
                    await act(item)
            except (httpx.HTTPError, OSError, json.JSONDecodeError) as error:
                say(f"{path}: {type(error).__name__}: {error}")
            await asyncio.sleep(self._retry_seconds)


def say(line: str) -> None:
    """Write a line to the log."""
    print(line, file=sys.stderr, flush=True)


async def serve(server: str, pki: Path, home: Path, storage_class: str) -> None:
    """Serve claims and volumes until killed."""
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "volumes.crt", pki / "volumes.key")
    timeout = httpx.Timeout(10.0, read=None)
    async with httpx.AsyncClient(base_url=server, verify=context, timeout=timeout, trust_env=False) as api:
        provisioner = Provisioner(api=api, home=home, storage_class=storage_class)
        await asyncio.gather(provisioner.follow(CLAIMS), provisioner.follow(VOLUMES))


def main() -> None:
    """Run as `python -m hms.cluster.volumes`."""
    parser = argparse.ArgumentParser(description="Provision local volumes for the test cluster.")
    parser.add_argument("--server", required=True)
    parser.add_argument("--pki", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--storage-class", required=True)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.server, arguments.pki, arguments.home, arguments.storage_class))


if __name__ == "__main__":
    main()
