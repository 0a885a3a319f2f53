"""A source and a sink without a protocol: complete adapters over lists, for tests of routes and flows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from pipe.contract import (
    Accepted,
    Arrival,
    ConnectionConfig,
    Door,
    Doors,
    Health,
    Options,
    Outgoing,
    Receipt,
    Services,
    Template,
)
from pipe.errors import NotFound, PipeError, Unreachable


class MemorySourceConfig(ConnectionConfig):
    """Takes messages from a test."""

    type: Literal["memory_source"] = "memory_source"


class MemorySubscription(Options):
    """Which of the test's messages."""

    topic: str = Field(default="", description="Only what the test hands in under this name.")


class MemorySource:
    """A source that a test feeds: `await source.put(b"…")` is what a peer does."""

    Config: ClassVar[type[ConnectionConfig]] = MemorySourceConfig
    Subscription: ClassVar[type[Options]] = MemorySubscription
    refusable: ClassVar[bool] = True

    def __init__(self, name: str, config: MemorySourceConfig, services: Services) -> None:
        self.name = name
        self.lost = False
        """while true the peer is gone: `open` and `run` raise Unreachable"""
        self.told: list[Accepted | PipeError] = []
        """what the peer was told, in order"""
        self._waiting: asyncio.Queue[tuple[str, Arrival, asyncio.Future[Accepted]]] = asyncio.Queue()

    async def open(self) -> None:
        """Raises Unreachable while `lost`."""
        if self.lost:
            raise Unreachable(f"{self.name} was told to be gone")

    async def close(self) -> None:
        """Tells everyone who still waits that nothing was accepted."""
        while not self._waiting.empty():
            *_, answer = self._waiting.get_nowait()
            if not answer.done():
                answer.set_exception(Unreachable(f"{self.name} was closed"))

    async def check(self) -> Health:
        """Down while `lost`."""
        return Health("down", "told to be gone", Unreachable.code) if self.lost else Health("up")

    async def put(self, body: bytes, *, topic: str = "", **parts: Any) -> Accepted:
        """Hands in one message as a peer would; `parts` are further fields of Arrival.

        Returns what the peer is told; raises the PipeError that the door refused it with.
        """
        answer: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        await self._waiting.put((topic, Arrival(body, **parts), answer))
        return await answer

    async def run(self, doors: Doors) -> None:
        """Hands what the test puts in to the first door of that topic, one after the other."""
        while True:
            if self.lost:
                raise Unreachable(f"{self.name} was told to be gone")
            topic, arrival, answer = await self._waiting.get()
            try:
                accepted = await self._door(doors, topic).accept(arrival)
            except PipeError as error:
                self.told.append(error)
                answer.set_exception(error)
            except asyncio.CancelledError:
                answer.set_exception(Unreachable(f"{self.name} was stopped"))
                raise
            else:
                self.told.append(accepted)
                answer.set_result(accepted)

    def _door(self, doors: Doors, topic: str) -> Door:
        for door in doors:
            if door.options is None or door.options.topic == topic:
                return door
        raise NotFound(f"no route takes {topic!r} from {self.name}")


class MemorySinkConfig(ConnectionConfig):
    """Keeps messages for a test."""

    type: Literal["memory_sink"] = "memory_sink"


class MemoryTarget(Options):
    """Where in memory."""

    put: Template = Field(default=Template(""), description="Name that the test finds the message by.")


class MemorySink:
    """A sink that keeps what it gets, and fails as a test tells it to."""

    Config: ClassVar[type[ConnectionConfig]] = MemorySinkConfig
    Target: ClassVar[type[Options]] = MemoryTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    answers: ClassVar[Literal[True]] = True

    def __init__(self, name: str, config: MemorySinkConfig, services: Services) -> None:
        self.name = name
        self.sent: list[Outgoing] = []
        """every attempt that reached the partner, in order"""
        self.names: list[str] = []
        """the filled `put` of each"""
        self.failures: list[PipeError] = []
        """raised by the next attempts, one each"""
        self.reply = Receipt(status=200, body={"ok": True})
        """what the partner answers"""
        self.held: asyncio.Event | None = None
        """while this is an event that is not set, the partner does not answer"""
        self._changed = asyncio.Condition()

    @property
    def bodies(self) -> list[Any]:
        """The bodies that reached the partner."""
        return [outgoing.message.body for outgoing in self.sent]

    @property
    def headers(self) -> list[Mapping[str, str]]:
        """Their headers."""
        return [outgoing.message.headers for outgoing in self.sent]

    async def open(self) -> None:
        """Needs nothing."""

    async def close(self) -> None:
        """Holds nothing."""

    async def check(self) -> Health:
        """Down while the next attempt is told to fail for lack of a connection."""
        lost = bool(self.failures) and isinstance(self.failures[0], Unreachable)
        return Health("down", "told to be gone", Unreachable.code) if lost else Health("up")

    def natural(self, target: Any) -> bool:
        """Two attempts are two entries."""
        return False

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Keeps the attempt and answers `reply`, or raises the next of `failures`; Unreachable keeps nothing."""
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, Unreachable):
            raise failure
        name = outgoing.target.put.fill(outgoing.message)
        self.sent.append(outgoing)
        self.names.append(name)
        async with self._changed:
            self._changed.notify_all()
        if self.held is not None:
            await self.held.wait()
        if failure is not None:
            raise failure
        return self.reply

    async def reached(self, count: int = 1) -> None:
        """Returns once so many attempts reached the partner in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.sent) >= count)
