"""The search for the member that takes writes, against members that a test makes fail."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from drills.writer.primary import Primary


class Member:
    """A server: reachable or not, writable or not, answering or hanging."""

    def __init__(self, *, writable: bool = False) -> None:
        self.reachable = True
        self.writable = writable
        self.hangs = False
        self.connections: list[Link] = []

    @property
    def open(self) -> int:
        return sum(not link.abandoned for link in self.connections)


class Link:
    def __init__(self, name: str, server: Member) -> None:
        self.member = name
        self.server = server
        self.abandoned = False

    async def is_writable(self) -> bool:
        if self.server.hangs:
            await asyncio.Event().wait()
        if not self.server.reachable:
            raise ConnectionError("broken")
        return self.server.writable

    def abandon(self) -> None:
        self.abandoned = True


class Cluster:
    def __init__(self) -> None:
        self.members = {name: Member() for name in ("a", "b", "c")}
        self.members["a"].writable = True
        self.dialled = 0
        self.primary = Primary(tuple(self.members), self.dial, lanes=2, attempt_seconds=0.05, pause_seconds=0.001)

    async def dial(self, name: str) -> Link:
        member = self.members[name]
        self.dialled += 1
        if member.hangs:
            await asyncio.Event().wait()
        if not member.reachable:
            raise ConnectionError("refused")
        link = Link(name, member)
        member.connections.append(link)
        return link

    async def take(self, patience_seconds: float = 2.0) -> Link:
        link = await self.primary.acquire(patience_seconds)
        assert link is not None
        return link


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


@pytest.mark.parametrize("how", ["unreachable", "hangs", "read-only"])
def test_it_moves_to_the_member_that_was_promoted(how: str) -> None:
    async def scenario() -> None:
        cluster = Cluster()
        first = await cluster.take()
        assert first.member == "a"
        old = cluster.members["a"]
        old.reachable, old.hangs, old.writable = how != "unreachable", how == "hangs", False
        cluster.primary.distrust(first)
        waiting = asyncio.create_task(cluster.take())
        cluster.members["c"].writable = True
        second = await waiting
        assert second.member == cluster.primary.member == "c"
        assert first.abandoned
        cluster.primary.release(second)
        await cluster.primary.close()

    run(scenario())


def test_nothing_is_left_open() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        links = [await cluster.take() for _ in range(2)]
        assert cluster.members["a"].open == 2
        assert cluster.members["b"].open == cluster.members["c"].open == 0
        cluster.primary.release(links[0])
        cluster.primary.distrust(links[1])
        assert links[0].abandoned
        await cluster.take()
        await cluster.primary.close()
        assert [member.open for member in cluster.members.values()] == [0, 0, 0]

    run(scenario())


def test_a_connection_in_use_when_its_member_was_distrusted_is_never_lent_again() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        kept, broken = await cluster.take(), await cluster.take()
        cluster.members["a"].writable = False
        cluster.members["b"].writable = True
        cluster.primary.distrust(broken)
        cluster.primary.release(kept)
        assert kept.abandoned
        assert (await cluster.take()).member == "b"
        await cluster.primary.close()

    run(scenario())


def test_a_member_that_refuses_is_dialled_less_and_less_often() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        for member in cluster.members.values():
            member.reachable = False
        assert await cluster.primary.acquire(1.0) is None
        assert 3 * 8 <= cluster.dialled <= 3 * 20  # 1, 2, 4 ... 128, then 200 ms; without that, a thousand
        cluster.members["b"].reachable = cluster.members["b"].writable = True
        assert (await cluster.take()).member == "b"
        await cluster.primary.close()

    run(scenario())


def test_patience_ends() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        cluster.members["a"].writable = False
        assert await cluster.primary.acquire(0.02) is None
        await cluster.primary.close()

    run(scenario())


def test_no_more_lanes_than_allowed_and_waiters_are_served_in_turn() -> None:
    async def scenario() -> None:
        cluster = Cluster()
        held = [await cluster.take(), await cluster.take()]
        order: list[int] = []

        async def wait(number: int) -> None:
            link = await cluster.take()
            order.append(number)
            cluster.primary.release(link)

        waiting = [asyncio.create_task(wait(number)) for number in range(5)]
        await asyncio.sleep(0)
        cluster.primary.release(held[0])
        await asyncio.gather(*waiting)
        assert order == [0, 1, 2, 3, 4]
        assert len(cluster.members["a"].connections) == 2
        await cluster.primary.close()

    run(scenario())
