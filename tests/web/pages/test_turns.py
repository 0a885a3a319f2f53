"""Pages that ask again take turns, share what is the same, and rest while there is traffic."""

from __future__ import annotations

import asyncio
import time

import pytest

from pipe.store.spent import SPENT, Spent
from pipe.testing import FakeClock
from web.pages.turns import REST, Timed, Turns


def spin(seconds: float) -> None:
    """Costs the processor so much."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def test_those_who_wait_for_the_same_get_it_once_and_who_comes_later_gets_it_anew() -> None:
    """What has begun to look is not handed to somebody who may know of something newer."""
    turns, made, go_on, begun = Turns(FakeClock(), lambda: 0), list[str](), asyncio.Event(), asyncio.Event()

    async def make() -> int:
        made.append("page")
        begun.set()
        await go_on.wait()
        return len(made)

    first = asyncio.create_task(turns.get("a", make))
    await begun.wait()
    later = [asyncio.create_task(turns.get("a", make)) for _ in range(3)]
    await asyncio.sleep(0)
    later[0].cancel()
    go_on.set()
    assert [await first, await later[1], await later[2]] == [1, 2, 2]


async def test_while_there_is_traffic_the_next_waits_many_times_as_long_as_the_work_took() -> None:
    """And a failure reaches who asked, and nobody else."""
    clock, units = FakeClock(), [0]
    turns = Turns(clock, lambda: units[0])

    async def work() -> float:
        spin(0.01)
        await asyncio.sleep(0)
        spin(0.01)
        return clock.monotonic()

    async def fails() -> float:
        raise LookupError

    began = await turns.get("a", work)
    assert await turns.get("b", work) == began  # nobody is held up
    units[0] += 1000
    await clock.advance(1)
    await turns.get("c", work)
    waiting = asyncio.create_task(turns.get("d", work))
    await clock.sleeping()
    await clock.advance(REST * 0.019)
    assert not waiting.done()
    await clock.advance(REST * 60)
    assert await waiting > began
    with pytest.raises(LookupError):
        await turns.get("e", fails)
    assert await turns.get("f", work) > began
    turns.stop()


async def test_work_that_is_cancelled_is_told_so() -> None:
    """What is counted step by step ends as it would without."""
    told: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            told.append("ended")

    async def counted() -> None:
        SPENT.set(Spent())
        await Timed(work())

    task = asyncio.create_task(counted())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["ended"]
