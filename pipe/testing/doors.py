"""Entrances of routes that keep what comes in."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from pipe.contract import Accepted, Arrival, Blob, Door, Receipt
from pipe.errors import NoCredentials, PipeError


class FakeDoor:
    """A Door that keeps arrivals in memory.

    Like the real one it takes an `identity` once, refuses the second `once`, and stores nothing of what it refuses.
    """

    def __init__(
        self, options: Any = None, *, route: str = "route", max_body: int = 10 << 20, reply: Receipt | None = None
    ) -> None:
        """`options` is an instance of the adapter's Subscription; with `reply` the route is synchronous."""
        self.route, self.options, self.max_body = route, options, max_body
        self.reply = reply
        self.arrivals: list[Arrival] = []
        """what was accepted, in order"""
        self.asked = 0
        """how often something knocked, refusals and repetitions included"""
        self.refusals: list[PipeError] = []
        """raised by the next calls of `accept`, one each"""
        self.held: asyncio.Event | None = None
        """while this is an event that is not set, `accept` hangs, as on a slow disk"""
        self._ids = (f"message-{number}" for number in itertools.count(1))
        self._known: dict[str, str] = {}
        self._used: set[str] = set()
        self._changed = asyncio.Condition()

    @property
    def synchronous(self) -> bool:
        """Whether `accept` brings a reply."""
        return self.reply is not None

    @property
    def bodies(self) -> list[bytes]:
        """The bodies that were accepted, in order."""
        return [arrival.body.read() if isinstance(arrival.body, Blob) else arrival.body for arrival in self.arrivals]

    async def accept(self, arrival: Arrival) -> Accepted:
        """Keeps the arrival, or raises the next of `refusals`."""
        self.asked += 1
        await self._tell()
        if self.held is not None:
            await self.held.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        if arrival.once is not None and arrival.once in self._used:
            raise NoCredentials("what may be used once was used before")
        if arrival.identity is not None and arrival.identity in self._known:
            return Accepted(self._known[arrival.identity], self.reply, replayed=True)
        accepted = Accepted(next(self._ids), self.reply)
        if arrival.identity is not None:
            self._known[arrival.identity] = accepted.id
        if arrival.once is not None:
            self._used.add(arrival.once)
        self.arrivals.append(arrival)
        await self._tell()
        return accepted

    async def arrived(self, count: int = 1) -> None:
        """Returns once so many arrivals were accepted in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.arrivals) >= count)

    async def knocked(self, count: int = 1) -> None:
        """Returns once `accept` was called so often, whatever came of it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.asked >= count)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class FakeDoors:
    """The doors of one connection; `replace` is what a reload does."""

    def __init__(self, *doors: Door) -> None:
        self._doors = doors
        self._version = 1
        self._changed = asyncio.Condition()

    def __iter__(self) -> Iterator[Door]:
        return iter(self._doors)

    @property
    def version(self) -> int:
        """Grows with every `replace`."""
        return self._version

    async def changed(self, version: int) -> None:
        """Returns when the version is no longer `version`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version != version)

    async def replace(self, doors: Iterable[Door]) -> None:
        """Other doors from now on."""
        async with self._changed:
            self._doors = tuple(doors)
            self._version += 1
            self._changed.notify_all()
