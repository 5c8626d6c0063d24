"""The shell around `instances`: it asks the service's instances, says whom it finds silent, and marks them."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import quote

from witness.instances import Instance, instance_of, mark_of, opinion, opinions, to_mark
from witness.kube import Kube
from witness.log import say
from witness.metrics import Metrics
from witness.news import AGAIN_SECONDS, NOT_READ, WATCH_SECONDS, again_and_again, is_change
from witness.probe import http_answers
from witness.settings import Settings

PERIOD_SECONDS = 0.5
PATIENCE_SECONDS = 1.0
"""An instance is asked anew after this time at the latest: a starved one may be slow, and is not silent."""
QUIET_SECONDS = 0.1
"""How often is looked while one is silent here: what the other witnesses say comes by the watch."""
LIVE = "/api/v1/health/live"


class Front:
    """One witness's view of the instances. It has a client of its own: nothing here may delay a failover."""

    def __init__(self, settings: Settings, kube: Kube, config: Callable[[], Any], metrics: Metrics) -> None:
        self._settings = settings
        self._kube = kube
        self._config = config
        self._metrics = metrics
        self._instances: dict[str, Instance] = {}
        self._silent: set[str] = set()
        self._asked: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(again_and_again(self._follow, self._metrics))
            tasks.create_task(self._look(tasks))

    async def _follow(self) -> None:
        selector = quote(self._settings.instances, safe="")
        listed = await self._kube.read("pods", selector)
        self._instances = {str(pod["metadata"]["uid"]): instance_of(pod) for pod in listed["items"]}
        version, idle = str(listed["metadata"]["resourceVersion"]), 2.0 * WATCH_SECONDS
        async for event in self._kube.watch("pods", selector, version, WATCH_SECONDS, idle_seconds=idle):
            if is_change(event):
                found = instance_of(event["object"])
                if event["type"] == "DELETED":
                    self._instances.pop(found.uid, None)
                else:
                    self._instances[found.uid] = found

    async def _look(self, tasks: asyncio.TaskGroup) -> NoReturn:
        due = 0.0
        while True:
            if time.monotonic() >= due:
                due = time.monotonic() + PERIOD_SECONDS
                for one in self._instances.values():
                    if one.address and one.uid not in self._asked:
                        self._asked[one.uid] = tasks.create_task(self._ask(one))
            try:
                await self._say_and_mark()
            except NOT_READ as error:
                self._metrics.add("errors")
                say("instances", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
            await asyncio.sleep(QUIET_SECONDS if self._silent else PERIOD_SECONDS)

    async def _ask(self, one: Instance) -> None:
        """Ask once. Who was itself late has found nothing by silence, nor has who asked one that is not ready yet."""
        began, answered = time.monotonic(), False
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answered = await http_answers(one.address, self._settings.instances_port, LIVE)
        except OSError:
            pass
        finally:
            del self._asked[one.uid]
        if answered or not one.ready:
            self._silent.discard(one.uid)
        elif time.monotonic() - began < PATIENCE_SECONDS * 1.5:
            self._silent.add(one.uid)

    async def _say_and_mark(self) -> None:
        self._silent.intersection_update(uid for uid, one in self._instances.items() if one.ready)
        me, mine, config = self._settings.member, frozenset(self._silent), self._config()
        if not config:
            return
        if opinions(config).get(me, frozenset()) != mine:
            name, body = opinion(me, mine, self._settings.scope)
            config = await self._kube.patch("endpoints", name, body)
            say("silent", instances=sorted(self._instances[uid].name for uid in mine))
        for one in to_mark(self._instances, opinions(config), self._settings.members):
            if one.uid in mine:
                await self._mark(one)

    async def _mark(self, one: Instance) -> None:
        pod = await self._kube.patch_status("pods", one.name, mark_of(datetime.now(UTC)))
        self._instances[one.uid] = instance_of(pod)
        self._metrics.add("marks")
        say("marked", instance=one.name)
