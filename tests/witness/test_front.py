"""Witnesses beside instances on real sockets: who hangs is marked once two of three say so; who answers never is."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from tests.witness.test_probe import Handler, frozen, patroni
from witness.front import Front
from witness.kube import Kube
from witness.metrics import Metrics
from witness.settings import Settings

MEMBERS = ("postgres-0", "postgres-1", "postgres-2")
CONFIG = "postgres-config"


class Api(Kube):
    """The API server's part: the instances' pods and one Endpoints object, the same for all witnesses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.config: dict[str, Any] = {"metadata": {"name": CONFIG, "annotations": {}}}
        self.pods = {f"app-{n}": _pod(f"app-{n}", address) for n, address in enumerate(addresses)}
        self.marked: list[str] = []
        self._changed = asyncio.Condition()

    async def read(self, kind: str, selector: str) -> dict[str, Any]:
        assert (kind, selector) == ("pods", "name%3Dapp")
        return {"items": copy.deepcopy(list(self.pods.values())), "metadata": {"resourceVersion": "1"}}

    async def watch(
        self, kind: str, selector: str, version: str, seconds: int, *, idle_seconds: float = 0
    ) -> AsyncIterator[dict[str, Any]]:
        while True:
            async with self._changed:
                await self._changed.wait()
            for pod in self.pods.values():
                yield {"type": "MODIFIED", "object": copy.deepcopy(pod)}

    async def patch(self, kind: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        assert (kind, name) == ("endpoints", CONFIG)
        for key, value in body["metadata"]["annotations"].items():
            self.config["metadata"]["annotations"].pop(key, None)
            if value is not None:
                self.config["metadata"]["annotations"][key] = value
        return copy.deepcopy(self.config)

    async def patch_status(self, kind: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.marked.append(name)
        self.pods[name]["status"] |= body["status"]
        async with self._changed:
            self._changed.notify_all()
        return copy.deepcopy(self.pods[name])


def _pod(name: str, address: str) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True"}
    return {"metadata": {"name": name, "uid": f"u-{name}"}, "status": {"podIP": address, "conditions": [ready]}}


async def marked(*handlers: Handler, witnesses: int, seconds: float, ready: bool = True) -> Api:
    """Let so many witnesses look at instances that behave so; return the API after so many seconds, or a mark."""
    addresses = [f"127.0.0.{n + 1}" for n in range(len(handlers))]
    first = await asyncio.start_server(handlers[0], addresses[0], 0)
    port = first.sockets[0].getsockname()[1]
    others = [await asyncio.start_server(h, a, port) for h, a in zip(handlers[1:], addresses[1:], strict=True)]
    api = Api(addresses)
    if not ready:
        api.pods["app-0"]["status"]["conditions"] = []
    fronts = [Front(_settings(member, port), api, lambda: api.config, Metrics()) for member in MEMBERS[:witnesses]]
    running = [asyncio.create_task(front.run()) for front in fronts]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not api.marked:
                await asyncio.sleep(0.02)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for server in (first, *others):
        server.close()
    # Those who serve find their clients gone, and end by themselves.
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    return api


def _settings(member: str, port: int) -> Settings:
    return Settings(
        member=member, members=frozenset(MEMBERS), namespace="n", scope="postgres", api_host="h", api_port=1,
        instances="name=app", instances_port=port, account=Path("/nowhere"),
    )  # fmt: skip


def test_an_instance_that_hangs_is_marked_when_two_witnesses_say_so() -> None:
    api = asyncio.run(marked(patroni, frozen, witnesses=2, seconds=20))
    assert set(api.marked) == {"app-1"}
    assert api.pods["app-0"]["status"]["conditions"] == [{"type": "Ready", "status": "True"}]


def test_one_witness_says_so_and_marks_nobody() -> None:
    api = asyncio.run(marked(patroni, frozen, witnesses=1, seconds=3))
    assert api.config["metadata"]["annotations"] == {"witness.hms/silent-postgres-0": "u-app-1"}
    assert api.marked == []


def test_the_last_is_not_marked_however_silent() -> None:
    assert asyncio.run(marked(frozen, frozen, witnesses=3, seconds=3)).marked == []


def test_who_is_not_ready_yet_is_not_silent() -> None:
    api = asyncio.run(marked(frozen, patroni, patroni, witnesses=3, seconds=2, ready=False))
    assert api.config["metadata"]["annotations"] == {}
    assert api.marked == []
