"""What the API server says: Patroni's three objects as they last were, and which of the members' pods are gone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from witness.core import Record
from witness.kube import Kube, KubeError, StatusError
from witness.log import say
from witness.metrics import Metrics
from witness.pods import Pods
from witness.record import is_paused, leader_address, leader_pod, read_record

LABELS = "application%3Dpatroni%2Ccluster-name%3D{scope}"  # Patroni's own, on every object that it keeps
WATCH_SECONDS = 300
AGAIN_SECONDS = 0.5
NOT_READ = (KubeError, StatusError, ValueError, KeyError)
"""What reading raises: nobody answers, it is refused, or the answer is none that can be read."""


class News:
    """The last that is known. `came` is set when there is more, and cleared by who has seen it."""

    def __init__(self, kube: Kube, scope: str, members: frozenset[str], metrics: Metrics) -> None:
        self.came = asyncio.Event()
        self._kube = kube
        self._scope = scope
        self._members = members
        self._metrics = metrics
        self._selector = LABELS.format(scope=scope)
        self._objects: dict[str, dict[str, Any]] = {}
        self._pods = Pods()

    def record(self) -> Record | None:
        """Return the core's view, or None as long as not all is known that it needs."""
        leader, sync = self._objects.get(self._scope), self._objects.get(f"{self._scope}-sync")
        if leader is None or sync is None:
            return None
        return read_record(leader, sync, self.config(), self._members)

    def address(self) -> str:
        """Return where the leader answers; empty if that is not known."""
        return leader_address(self._objects.get(self._scope, {}))

    def leaders_pod_is_gone(self) -> bool:
        """Tell whether the pod that the record names was deleted."""
        return self._pods.is_gone(leader_pod(self._objects.get(self._scope, {})))

    async def leader_now(self) -> str | None:
        """Ask who leads now; None where it is nobody or not known, or Patroni is told to leave its members alone."""
        try:
            await self.read()
        except NOT_READ as error:
            say("not read", error=str(error))
            return None
        record = self.record()
        return None if record is None or is_paused(self.config()) else record.leader

    async def watch(self) -> None:
        """Follow both kinds until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(again_and_again(self._follow, self._metrics))
            tasks.create_task(again_and_again(self._follow_pods, self._metrics))

    async def read(self) -> str:
        """Read Patroni's objects now, and return the version to watch from; raises one of `NOT_READ`."""
        listed = await self._kube.read("endpoints", self._selector)
        for item in listed["items"]:
            self.learn(item)
        return str(listed["metadata"]["resourceVersion"])

    def learn(self, item: dict[str, Any]) -> None:
        """Keep an object, unless a later version of it is known: the versions of one object are numbers that grow."""
        name, known = item["metadata"]["name"], self._objects.get(item["metadata"]["name"])
        if known is None or int(item["metadata"]["resourceVersion"]) > int(known["metadata"]["resourceVersion"]):
            self._objects[name] = item
            self.came.set()

    def config(self) -> dict[str, Any]:
        """Return the object that has Patroni's settings, and whom the witnesses suspect; empty if it is not known."""
        return self._objects.get(f"{self._scope}-config", {})

    async def _follow(self) -> None:
        version = await self.read()
        async for event in self._kube.watch("endpoints", self._selector, version, WATCH_SECONDS):
            if is_change(event) and event["type"] != "DELETED":
                self.learn(event["object"])

    async def _follow_pods(self) -> None:
        """See which pods go. They are quiet where nobody writes, so a watch that was cut off is noticed at its end."""
        listed = await self._kube.read("pods", self._selector)
        self._pods.listed({str(item["metadata"]["uid"]) for item in listed["items"]})
        self.came.set()
        version, idle = str(listed["metadata"]["resourceVersion"]), 2.0 * WATCH_SECONDS
        async for event in self._kube.watch("pods", self._selector, version, WATCH_SECONDS, idle_seconds=idle):
            if is_change(event):
                deleted = event["type"] == "DELETED"
                self._pods.told(str(event["object"]["metadata"]["uid"]), deleted=deleted)
                if deleted:
                    self.came.set()


async def again_and_again(follow: Callable[[], Awaitable[None]], metrics: Metrics) -> NoReturn:
    """Follow until cancelled; what ends is begun anew, after a pause where it failed."""
    while True:
        try:
            await follow()
        except NOT_READ as error:
            metrics.add("errors")
            say("watch ended", error=str(error))
            await asyncio.sleep(AGAIN_SECONDS)


def is_change(event: dict[str, Any]) -> bool:
    """Tell whether an event of a watch is a change of an object; `StatusError` for one that ends the watch."""
    if event["type"] == "ERROR":
        raise StatusError(int(event["object"].get("code", 0)), str(event["object"].get("message", "")))
    return event["type"] in {"ADDED", "MODIFIED", "DELETED"}
