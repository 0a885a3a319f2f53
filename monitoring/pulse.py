"""Tells open pages that something has changed: at once when a connection turns, else every few seconds at most."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from pipe.engine import Engine
from pipe.errors import PipeError
from pipe.events import Event, Turned
from pipe.lasting import ended, lasting

TOPIC = "ops"
BEAT_S = 3.0
AT_ONCE_S = 0.2
"""what turns within so long is told together"""


class Pulse:
    """One task. It belongs to a running gateway."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen = -1
        self._turned = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        engine.events.subscribe(self.saw)

    def saw(self, event: Event) -> None:
        """A connection that turns is told at once."""
        if isinstance(event, Turned):
            self._turned.set()

    def now(self) -> None:
        """Something has changed that people wait for."""
        self._turned.set()

    async def start(self) -> None:
        """Begins to tell."""
        self._task = asyncio.create_task(lasting("pulse", self._run, self._engine.clock), name="pulse")

    async def stop(self) -> None:
        """Tells no more."""
        await ended(self._task)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._turned.wait()
            if self._turned.is_set():
                await asyncio.sleep(AT_ONCE_S)
            await self.once()

    async def once(self) -> bool:
        """Tells of what the store was given since the last time; whether there was anything."""
        turned = self._turned.is_set()
        self._turned.clear()
        store = self._engine.store
        # Store that fails is told by `/ready` and by the emergency's program; pages show it when they ask.
        with suppress(PipeError):
            units = store.writer.units
            if turned or units != self._seen:
                await store.write(lambda tx: tx.publish(TOPIC, {}))
                # Its own unit is no news; what came meanwhile is told the next time.
                self._seen = units + 1
                return True
        return False
