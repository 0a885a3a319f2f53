"""Ends what takes longer than it may, looked at a few times a second: far cheaper than a timer for each send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")
EVERY_S = 0.25


class Overdue:
    """Waits for awaitables, each with a limit of its own; a limit is kept to within a quarter of a second."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[object], float] = {}
        self._over: set[asyncio.Task[object]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def within(self, seconds: float, work: Awaitable[T]) -> T:
        """The result of `work`. Raises TimeoutError once it took longer; a task may wait for one thing at a time."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._until[task] = loop.time() + seconds
        if self._sweeper is None:
            self._sweeper = loop.call_later(EVERY_S, self._sweep, loop)
        try:
            return await work
        except asyncio.CancelledError:
            # Whoever else cancelled the task meanwhile must not be overheard.
            if task in self._over and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._until[task]
            self._over.discard(task)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, until in self._until.items():
            if until < now and task not in self._over:
                self._over.add(task)
                task.cancel()
        self._sweeper = loop.call_later(EVERY_S, self._sweep, loop) if self._until else None
