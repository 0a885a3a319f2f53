"""Pages that ask for themselves again take turns: however many are open, they cost the traffic next to nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from pipe.clock import Clock
from pipe.store.spent import SPENT, Spent

T = TypeVar("T")
REST = 60.0
"""times as long as the work took the next one waits, while there is traffic"""
UNITS_BUSY = 20.0
"""units of work in a second from which on there is traffic"""


class Turns:
    """One after the other. Whoever asks for the same before its turn has come gets the same."""

    def __init__(self, clock: Clock, units: Callable[[], int]) -> None:
        """`units` tells how many units of work the store was given so far."""
        self._clock, self._units = clock, units
        self._one = asyncio.Lock()
        self._coming: dict[str, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._free_at = float("-inf")
        self._seen = (clock.monotonic(), 0)

    async def get(self, name: str, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` gives once it has its turn. Raises what it raises."""
        task = self._coming.get(name)
        if task is None:
            task = self._coming[name] = asyncio.create_task(self._turn(name, make))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # Whoever goes away takes it from nobody else.
        result: T = await asyncio.shield(task)
        return result

    def stop(self) -> None:
        """Nobody gets a turn any more."""
        for task in self._tasks:
            task.cancel()

    async def _turn(self, name: str, make: Callable[[], Awaitable[T]]) -> T:
        try:
            await self._one.acquire()
            try:
                if (rest := self._free_at - self._clock.monotonic()) > 0:
                    await self._clock.sleep(rest)
            except BaseException:
                self._one.release()
                raise
        finally:
            # What is asked for from now on must be made anew: this one has begun to look.
            del self._coming[name]
        spent = Spent()
        SPENT.set(spent)
        try:
            return await Timed(make())
        finally:
            rest = spent.seconds * REST if self._is_busy() else 0.0
            self._free_at = self._clock.monotonic() + rest
            self._one.release()

    def _is_busy(self) -> bool:
        now, units = self._clock.monotonic(), self._units()
        at, before = self._seen
        self._seen = now, units
        return units - before > UNITS_BUSY * (now - at)


class Timed(Generic[T]):
    """Work of which the processor's time on the loop is added to what was spent."""

    def __init__(self, work: Awaitable[T]) -> None:
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        spent, steps = SPENT.get(), self._work.__await__()
        if spent is None:
            return (yield from steps)
        raised: BaseException | None = None
        while True:
            began = time.thread_time()
            try:
                waits = next(steps) if raised is None else steps.throw(raised)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                spent.seconds += time.thread_time() - began
            raised = None
            try:
                yield waits
            except BaseException as error:  # boundary: it belongs to the work, which may go on
                raised = error
