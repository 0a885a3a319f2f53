"""Sessions with a server of files: made when needed, kept for the next one, given up where nobody is sure of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from adapters.files.remote import Remote
from pipe.contract import Timeout
from pipe.errors import PipeError, Unreachable

FRESH = 5.0
"""seconds after which a session is asked before it is used again"""
IDLE = 60.0
"""seconds after which one that nobody uses is ended: partners count them"""


class Sessions:
    """The sessions of one connection."""

    def __init__(self, name: str, dial: Callable[[Timeout], Awaitable[Remote]]) -> None:
        self._name, self._dial = name, dial
        self._idle: list[tuple[float, Remote]] = []
        self._busy: set[Remote] = set()
        self._ending: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self) -> None:
        """Sessions may be made."""
        self._closed = False

    async def close(self) -> None:
        """Ends all of them, those in use too. Safe before open, safe twice."""
        self._closed = True
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        idle, self._idle = self._idle, []
        for remote in self._busy:
            remote.drop()
        await asyncio.gather(*(remote.close() for _, remote in idle))

    @asynccontextmanager
    async def one(self, timeout: Timeout) -> AsyncIterator[Remote]:
        """A session for one piece of work. Raises what dialling raises."""
        remote = await self._taken(timeout)
        self._busy.add(remote)
        try:
            yield remote
        finally:
            self._busy.discard(remote)
            if remote.usable and not self._closed:
                self._idle.append((asyncio.get_running_loop().time(), remote))
                self._end_later()
            else:
                remote.drop()

    async def _taken(self, timeout: Timeout) -> Remote:
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, remote = self._idle.pop()
            if now - since > FRESH:
                try:
                    await remote.alive()
                except PipeError:
                    remote.drop()
                    self._drop_idle()  # the others are older: each would be waited for in vain
                    break
                except BaseException:
                    remote.drop()
                    raise
            return remote
        return await self.fresh(timeout)

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for _, remote in idle:
            remote.drop()

    async def fresh(self, timeout: Timeout) -> Remote:
        """A new session; the caller ends it. Raises what dialling raises."""
        seconds = min(timeout.connect + timeout.read, timeout.total)
        try:
            async with asyncio.timeout(seconds):
                remote = await self._dial(timeout)
        except TimeoutError:
            raise Unreachable(f"{self._name} did not let us in within {seconds:g} s") from None
        if self._closed:
            remote.drop()
            raise Unreachable(f"the connection {self._name} is closed")
        return remote

    def _end_later(self) -> None:
        if self._ending is None and self._idle:
            loop = asyncio.get_running_loop()
            self._ending = loop.call_at(self._idle[0][0] + IDLE, self._end_idle)

    def _end_idle(self) -> None:
        self._ending = None
        limit = asyncio.get_running_loop().time() - IDLE
        for since, remote in list(self._idle):
            if since <= limit:
                self._idle.remove((since, remote))
                with suppress(OSError):
                    remote.drop()
        self._end_later()
