"""Keeps sources running: each has a task of its own, started again with growing pauses when its peer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from loguru import logger

from pipe.contract import Door, Health
from pipe.errors import PipeError
from pipe.lasting import ended

if TYPE_CHECKING:
    from pipe.connection import Connection
    from pipe.door import RouteDoor
    from pipe.engine import Engine


class LiveDoors:
    """See `pipe.contract.Doors`."""

    def __init__(self) -> None:
        self._doors: tuple[RouteDoor, ...] = ()
        self.version = 0
        self._change = asyncio.Event()

    def __iter__(self) -> Iterator[Door]:
        return iter(self._doors)

    def replace(self, doors: tuple[RouteDoor, ...]) -> None:
        """New doors, in one step."""
        self._doors = doors
        self.version += 1
        self._change.set()
        self._change = asyncio.Event()

    async def changed(self, version: int) -> None:
        """Returns when the version is no longer `version`."""
        while self.version == version:
            await self._change.wait()


class RunningSource:
    """One source at work."""

    def __init__(self, engine: Engine, connection: Connection) -> None:
        self._engine, self.connection = engine, connection
        self.doors = LiveDoors()
        self.refusable: bool = connection.adapter.refusable
        """it can tell its peers no, so a pause need not stop it"""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts it, unless it runs or is paused."""
        if (self._task is None or self._task.done()) and (self.refusable or not self.connection.paused):
            self._task = asyncio.create_task(self._run(), name=f"source {self.connection.name}")

    async def stop(self) -> None:
        """Stops receiving."""
        await ended(self._task)
        self._task = None

    async def _run(self) -> None:
        reconnect = self.connection.config.reconnect
        pause = float(reconnect.first)
        while not self.connection.opened:
            await self._engine.clock.sleep(reconnect.first)
        while True:
            begun = self._engine.clock.monotonic()
            try:
                self.connection.note(Health("up"))
                await self.connection.adapter.run(self.doors)
                reason, code = "the source ended by itself", "source_ended"
            except PipeError as error:
                reason, code = error.text, error.code
            except Exception as error:  # boundary: a defect of one source must not stop the gateway
                logger.bind(action="source_broke", connection=self.connection.name).opt(exception=error).error(
                    "the source has a defect"
                )
                reason, code = f"{type(error).__name__}: {error}", "source_broke"
            self.connection.note(Health("down", reason, code))
            if self._engine.clock.monotonic() - begun > reconnect.max:
                pause = float(reconnect.first)
            await self._engine.clock.sleep(pause)
            pause = min(pause * 2, float(reconnect.max))
