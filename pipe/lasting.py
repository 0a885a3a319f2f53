"""Tasks that last as long as the gateway does: a defect ends one look of theirs, never the task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from loguru import logger

from pipe.clock import Clock

PAUSE_S = 5.0


async def lasting(what: str, run: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Runs `run` until cancelled; where it breaks it is begun again after PAUSE_S, and the log says so."""
    while True:
        try:
            await run()
        except Exception as error:  # boundary: nobody waits for this task, so nobody else would ever hear of it
            logger.bind(action="task_broke", task=what).opt(exception=error).error("a task has a defect; it goes on")
        await clock.sleep(PAUSE_S)


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancels a task and returns when it is over. Harmless where there is none, or it is over already."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
