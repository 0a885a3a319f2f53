"""The only place that moves synchronous functions to threads: bounded pools, each with a name and an owner."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipe.errors import Unreachable

R = TypeVar("R")

THREADS = 4
"""how many calls of one pool run at the same time; the others wait for their turn"""

_pools: dict[str, ThreadPoolExecutor] = {}


async def run(pool: str, function: Callable[..., R], *args: object, timeout: float | None = None) -> R:
    """What `function(*args)` returns or raises, called in a thread of that pool.

    Raises TimeoutError after `timeout` seconds, the wait for a free thread included, Unreachable where the pool was
    closed before the call began, and MemoryError where the system gives no thread. A thread cannot be cancelled: it
    works on and keeps its place in the pool, so give the library itself a time-out too. A pool is made by its first
    call; name it after the connection, so that a partner who hangs holds up nobody else.
    """
    executor = _pools.get(pool)
    if executor is None:
        executor = _pools[pool] = ThreadPoolExecutor(THREADS, thread_name_prefix=pool)
    call = functools.partial(contextvars.copy_context().run, function, *args)
    try:
        result = asyncio.get_running_loop().run_in_executor(executor, call)
    except RuntimeError as error:
        if "start new thread" in str(error):  # there is no room for its stack
            raise MemoryError(str(error)) from error
        raise
    try:
        async with asyncio.timeout(timeout):
            return await result
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            # The pool was closed before the call began. Passed on, that would look as if the caller were cancelled.
            raise Unreachable(f"{pool} was closed") from None
        raise


def close(pool: str) -> None:
    """Forgets the pool: what waits ends with Unreachable, what runs ends by itself. Harmless if there is none."""
    executor = _pools.pop(pool, None)
    if executor is not None:
        executor.shutdown(wait=False, cancel_futures=True)


def close_all() -> None:
    """Closes every pool; the last thing that a stopping gateway does."""
    for pool in list(_pools):
        close(pool)
