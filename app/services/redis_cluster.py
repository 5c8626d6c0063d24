"""Redis as the service uses it: a primary that may move, replicas for reads, and never an error because of it.

Invariants:
- A call costs its timeout at most, twice that if it must wait for a connection, and nothing at all while the node it
  would go to is known not to answer: whether it answers again is found out in the background.
- The primary is the node that says so itself. All nodes are asked at once, every 50 ms while there is none, because the
  Sentinels say so up to a second later. Of two that say so, it is the one that most Sentinels name, and none until
  they name one, or, where there are no Sentinels, until one of the two says so no more.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from app.errors import RedisUnavailableError
from app.services.redis_node import OPERATION_TIMEOUT_SECONDS, Node, Role, Work
from app.services.sentinels import Sentinels
from app.settings import Address, RedisSettings

T = TypeVar("T")

_LOG = logging.getLogger("app.services.redis")

_SURVEY_SECONDS = 1.0
_HASTY_SURVEY_SECONDS = 0.25


class RedisCluster:
    """Sends work to the nodes. Without settings there is no Redis, and every call says so."""

    def __init__(self, settings: RedisSettings | None) -> None:
        self._settings = settings
        self._sentinels = Sentinels(settings) if settings is not None and settings.sentinels else None
        self._nodes: dict[Address, Node] = {}
        self._watchers: dict[Address, asyncio.Task[None]] = {}
        self._surveyor: asyncio.Task[None] | None = None
        self._named: Address | None = None
        self._primary: Node | None = None
        self._lost_at: float | None = monotonic()
        self._hurry = asyncio.Event()
        self._turn = 0
        self._listeners: list[Callable[[], None]] = []

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Return every node that is known."""
        return tuple(self._nodes.values())

    @property
    def up(self) -> bool:
        """Say whether there is a primary that requests may ask now."""
        return self._primary is not None and self._primary.usable

    def on_new_primary(self, listener: Callable[[], None]) -> None:
        """Have `listener` called whenever a primary is met anew: another one, or the same after it did not answer."""
        self._listeners.append(listener)

    async def start(self) -> None:
        """Begin to look for the nodes; waits for none of them."""
        if self._sentinels is not None:
            self._surveyor = asyncio.create_task(self._survey(self._sentinels))
        elif self._settings is not None:
            await self._know(frozenset(self._settings.hosts))

    async def stop(self) -> None:
        """Let go of Redis."""
        tasks = {*self._watchers.values(), *([self._surveyor] if self._surveyor else [])}
        while tasks:
            for task in tasks:
                task.cancel()  # again and again: a library that closes a connection may swallow one
            _, tasks = await asyncio.wait(tasks, timeout=0.1)
        self._primary = None
        for node in self.nodes:
            await node.close()
        if self._sentinels is not None:
            await self._sentinels.close()

    async def on_primary(self, work: Work[T], *, timeout_seconds: float = OPERATION_TIMEOUT_SECONDS) -> T:
        """Do `work` on the primary. Raises `RedisUnavailableError`, and what `work` raises of its own."""
        if self._primary is None:
            raise RedisUnavailableError("no Redis node says that it is the primary")
        return await self._primary.run(work, timeout_seconds=timeout_seconds)

    async def on_replica(self, work: Work[T], *, timeout_seconds: float = OPERATION_TIMEOUT_SECONDS) -> T:
        """Do `work`, which only reads, on a replica, else on the primary: what it reads may be of a moment ago.

        One that fails is not tried elsewhere: the request has waited long enough. Raises as `on_primary` does.
        """
        replica = self._replica()
        if replica is None:
            return await self.on_primary(work, timeout_seconds=timeout_seconds)
        return await replica.run(work, timeout_seconds=timeout_seconds)

    def _replica(self) -> Node | None:
        replicas = [node for node in self.nodes if node.usable and node.view.role is Role.REPLICA]
        linked = [node for node in replicas if node.view.linked]
        # While there is no primary no link is up, and what the replicas hold is as good as it was.
        candidates = linked if self._primary is not None else replicas
        if not candidates:
            return None
        self._turn += 1
        turn = self._turn
        return min(enumerate(candidates), key=lambda pair: (pair[1].in_use, (pair[0] + turn) % len(candidates)))[1]

    def _choose(self) -> None:
        claimants = [node for node in self.nodes if node.usable and node.view.role is Role.PRIMARY]
        if len(claimants) > 1:
            claimants = [node for node in claimants if node.address == self._named]
        chosen = claimants[0] if claimants else None
        for node in self.nodes:
            node.hasty = chosen is None
        if chosen is self._primary:
            return
        self._primary = chosen
        if chosen is None:
            self._lost_at = monotonic()
            _LOG.warning("redis has no primary", extra={"fields": {"nodes": len(self._nodes)}})
            self._ask_all()
            return
        seconds = round(monotonic() - self._lost_at, 3) if self._lost_at is not None else 0.0
        self._lost_at = None
        _LOG.info("redis has a primary", extra={"fields": {"primary": str(chosen.address), "seconds": seconds}})
        for listener in self._listeners:
            listener()

    def _note_loss(self, node: Node) -> None:
        if node is self._primary:
            self._ask_all()
        if not node.usable:
            self._choose()

    def _ask_all(self) -> None:
        self._hurry.set()
        for node in self.nodes:
            node.probe_soon()

    async def _survey(self, sentinels: Sentinels) -> None:
        while True:
            self._hurry.clear()
            survey = await sentinels.survey()
            if survey.answers:
                self._named = survey.primary
                await self._know(survey.nodes)
                self._choose()
            seconds = _SURVEY_SECONDS if self._primary is not None else _HASTY_SURVEY_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurry.wait()
                await asyncio.sleep(_HASTY_SURVEY_SECONDS)

    async def _know(self, addresses: frozenset[Address]) -> None:
        """Watch the nodes that are new, and let go of those that nobody names any more and that are gone."""
        assert self._settings is not None
        for address in addresses - set(self._nodes):
            node = Node(address, self._settings, changed=self._choose, lost=self._note_loss)
            node.hasty = self._primary is None
            self._nodes[address] = node
            self._watchers[address] = asyncio.create_task(node.watch())
        for address in set(self._nodes) - addresses:
            if self._nodes[address].view.role is Role.DOWN:
                watcher = self._watchers.pop(address)
                watcher.cancel()
                await asyncio.gather(watcher, return_exceptions=True)
                await self._nodes.pop(address).close()
