"""Whose turn it is at a member: never more than there are, in order, and none lost, whoever leaves or is sent away."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from app.db.turns import Turns
from app.errors import SetAsideError


@given(st.integers(1, 4), st.lists(st.sampled_from(["take", "hurry", "leave", "end", "wait", "send"]), max_size=60))
def test_turns_are_never_more_than_there_are_and_none_is_lost(most: int, steps: list[str]) -> None:
    async def story() -> None:
        turns = Turns(most)
        asked: list[asyncio.Task[None]] = []
        holders = 0

        async def settle() -> int:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done = [task for task in asked if task.done()]
            for task in done:
                asked.remove(task)
                assert task.cancelled() or isinstance(task.exception(), TimeoutError | SetAsideError | None)
            return sum(not task.cancelled() and task.exception() is None for task in done)

        for step in steps:
            if step in {"take", "hurry"}:
                asked.append(asyncio.create_task(turns.take(seconds=0.001 if step == "hurry" else 60)))
            elif step == "leave" and asked:
                asked[-1].cancel()
            elif step == "end" and holders:
                turns.give_back()
                holders -= 1
            elif step == "wait":
                await asyncio.sleep(0.002)
            elif step == "send":
                turns.send_away()
            holders += await settle()
            assert holders <= most
            assert turns.wanted == holders + len(asked)
            assert holders == most or not asked
        turns.send_away()
        holders += await settle()
        assert not asked
        for _ in range(holders):
            turns.give_back()
        assert turns.wanted == 0
        for _ in range(most):
            await turns.take(seconds=0)

    asyncio.run(story())


def test_turns_come_in_order() -> None:
    async def story() -> list[str]:
        turns = Turns(1)
        order: list[str] = []

        async def use(name: str) -> None:
            await turns.take(seconds=60)
            order.append(name)
            turns.give_back()

        await turns.take(seconds=60)
        waiting = [asyncio.create_task(use(name)) for name in ("first", "second", "third")]
        await asyncio.sleep(0)
        turns.give_back()
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(story()) == ["first", "second", "third"]
