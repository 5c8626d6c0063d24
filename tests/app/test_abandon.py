"""A wait with a bound: what hangs is left at it, and a process that was late itself blames nobody."""

import asyncio
import time

import pytest

from app.db.abandon import within

BOUND_SECONDS = 0.05


def test_what_does_not_end_is_left_at_the_bound_and_cancelled_by_itself() -> None:
    async def main() -> bool:
        ended = asyncio.Event()

        async def hangs() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        with pytest.raises(TimeoutError):
            await within(BOUND_SECONDS, hangs())
        await asyncio.wait_for(ended.wait(), 5)
        return ended.is_set()

    assert asyncio.run(main())


def test_a_process_that_did_not_listen_gives_the_work_its_time_once_more() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        # The answer is there while the loop is blocked beyond the bound, and is seen only after the bound has passed.
        loop.call_later(BOUND_SECONDS / 5, lambda: time.sleep(BOUND_SECONDS * 3))
        loop.call_later(BOUND_SECONDS * 3.5, answer.set_result, "in time")
        return await within(BOUND_SECONDS, answer)

    assert asyncio.run(main()) == "in time"


def test_its_result_and_its_error_are_the_work_s() -> None:
    async def fails() -> str:
        raise ValueError("of the work")

    async def main() -> str:
        with pytest.raises(ValueError, match="of the work"):
            await within(BOUND_SECONDS, fails())
        return await within(BOUND_SECONDS, asyncio.sleep(0, "done"))

    assert asyncio.run(main()) == "done"
