"""Runs the steps of a message once for several targets that go at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from pipe.steps.pipeline import Run

MOST = 512


class Prepared:
    """Runs by the message's number; a run that failed is told to all who waited, and forgotten."""

    def __init__(self) -> None:
        self._runs: OrderedDict[int, asyncio.Future[Run]] = OrderedDict()

    async def get(self, seq: int, run: Callable[[], Awaitable[Run]]) -> Run:
        """The run of this message: the one in progress or just finished, else a new one."""
        known = self._runs.get(seq)
        if known is None:
            known = self._runs[seq] = asyncio.ensure_future(run())
            known.add_done_callback(lambda future: self._finished(seq, future))
            if len(self._runs) > MOST:
                self._runs.popitem(last=False)
        return await asyncio.shield(known)

    def forget(self) -> None:
        """Whoever asks from now on gets a run of today's steps; who waits already gets the run that is in progress."""
        self._runs.clear()

    def _finished(self, seq: int, future: asyncio.Future[Run]) -> None:
        failed = future.cancelled() or future.exception() is not None
        if failed and self._runs.get(seq) is future:
            del self._runs[seq]
