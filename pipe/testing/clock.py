"""Time in the hands of a test."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import Any

SETTLE = 50
"""turns of the event loop that woken tasks get before time moves on"""
IDLE = 8
"""turns in a row in which nobody had anything to do"""


class FakeClock:
    """A Clock that stands still until a test moves it.

    It begins at a fixed moment, 2026-01-15 10:00 UTC, so that dates in tests are the same every day.
    """

    def __init__(self, now: float = 1_768_471_200.0) -> None:
        """`now` is the wall clock at the beginning, in seconds since 1970."""
        self._wall, self._monotonic = now, 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._fell_asleep = asyncio.Event()

    def now(self) -> float:
        """Wall clock, seconds since 1970."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since some moment; moved by `advance` only."""
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Returns once a test has moved the clock so far; at once for zero and less."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._numbers), wake))
        self._fell_asleep.set()
        await wake

    @property
    def asleep(self) -> int:
        """How many tasks sleep on this clock now."""
        return sum(1 for *_, wake in self._sleepers if not wake.done())

    async def sleeping(self, count: int = 1) -> None:
        """Returns once at least `count` tasks sleep: then everything before their sleep has been done."""
        while self.asleep < count:
            self._fell_asleep.clear()
            await self._fell_asleep.wait()

    async def advance(self, seconds: float) -> None:
        """Moves both clocks; whoever is due wakes in order, at its own time, and runs until it waits again."""
        until = self._monotonic + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, wake = heapq.heappop(self._sleepers)
            if wake.done():
                continue
            self._move(due)
            wake.set_result(None)
            await self._settle()
        self._move(until)

    def step(self, seconds: float) -> None:
        """Sets the wall clock alone forward or back, as an administrator or a time server does."""
        self._wall += seconds

    def _move(self, monotonic: float) -> None:
        self._wall += monotonic - self._monotonic
        self._monotonic = monotonic

    async def _settle(self) -> None:
        ready: Any = getattr(asyncio.get_running_loop(), "_ready", None)
        idle = 0
        for _ in range(SETTLE):
            await asyncio.sleep(0)
            # Where the loop shows what it has to do, some turns without anything are enough.
            idle = idle + 1 if ready is not None and not ready else 0
            if idle == IDLE:
                return
