"""A gateway as an HTTP source sees it: real listeners, doors that remember, bodies in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from adapters.http_server import HttpServer, HttpServerConfig, HttpSubscription
from pipe.clock import SystemClock
from pipe.config.models import Listener
from pipe.contract import Accepted, Arrival, Blob, Clock, Listening, PlainHandler, Timeout
from pipe.errors import PipeError, TooLarge
from web.limits import HttpLimits
from web.listener import Listeners

ID = "01hzx3k9q2v7m4n8p6r5t0w1ya"
Reply = Accepted | PipeError | Callable[[Arrival], Awaitable[Accepted]]


class FakeDoor:
    """Remembers what arrived, and answers as it is told."""

    def __init__(
        self, path: str, methods: Sequence[str] = ("POST",), *, reply: Reply | None = None, synchronous: bool = False,
        max_body: int = 10 << 20, route: str = "",
    ) -> None:  # fmt: skip
        self.route = route or path.strip("/").replace("/", "_") or "root"
        self.options = HttpSubscription.model_validate({"path": path, "methods": list(methods)})
        self.max_body = max_body
        self.synchronous = synchronous
        self.reply: Reply = reply or Accepted(ID)
        self.arrivals: list[Arrival] = []

    async def accept(self, arrival: Arrival) -> Accepted:
        """As told."""
        self.arrivals.append(arrival)
        if isinstance(self.reply, PipeError):
            raise self.reply
        return self.reply if isinstance(self.reply, Accepted) else await self.reply(arrival)

    @property
    def arrival(self) -> Arrival:
        """The only one."""
        [arrival] = self.arrivals
        return arrival


class FakeDoors:
    """Doors that a test may change."""

    def __init__(self, *doors: FakeDoor) -> None:
        self._doors = doors
        self.version = 0
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[FakeDoor]:
        return iter(self._doors)

    async def changed(self, version: int) -> None:
        """When `become` was called."""
        while self.version == version:
            await self._changed.wait()
            self._changed.clear()

    def become(self, *doors: FakeDoor) -> None:
        """These and no others from now on."""
        self._doors = doors
        self.version += 1
        self._changed.set()


class MemorySpool:
    """Keeps everything in memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._body = bytearray()
        self.largest = 0

    async def write(self, piece: bytes) -> None:
        """Raises TooLarge past the limit."""
        self._body += piece
        self.largest = max(self.largest, len(self._body))
        if len(self._body) > self._limit:
            raise TooLarge(f"more than {self._limit} bytes")

    async def finish(self) -> bytes | Blob:
        """All of it."""
        return bytes(self._body)

    def discard(self) -> None:
        """Forgets it."""
        self._body.clear()


@dataclass
class FakeServices:
    """What the gateway lends, with listeners of its own."""

    listeners: Listeners
    clock: Clock = field(default_factory=SystemClock)
    default_timeout: Timeout = field(default_factory=Timeout)
    stories: dict[tuple[str, str | None], Mapping[str, Any]] = field(default_factory=dict)
    spools: list[MemorySpool] = field(default_factory=list)

    def spool(self, limit: int) -> MemorySpool:
        """One more, remembered."""
        self.spools.append(MemorySpool(limit))
        return self.spools[-1]

    def mount(
        self,
        listener: str | None,
        prefix: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        plain: PlainHandler | None = None,
    ) -> Callable[[], None]:
        """On the real listeners."""
        return self.listeners.mount(listener, prefix, handler, plain)

    def secured(self, listener: str | None) -> bool:
        """As the real listeners say."""
        return self.listeners.secured(listener)

    def listening(self, listener: str | None) -> Listening:
        """As the real listeners say."""
        return self.listeners.listening(listener)

    async def noted(self, connection: str, name: str) -> Any:
        """Nothing here keeps anything."""

    async def note(self, connection: str, name: str, value: Any) -> None:
        """As above."""

    async def fate(self, id: str, caller: str | None) -> Mapping[str, Any] | None:
        """What the test has put into `stories`."""
        return self.stories.get((id, caller))


@dataclass
class Gateway:
    """A running listener with one HTTP source."""

    services: FakeServices
    server: HttpServer
    doors: FakeDoors
    listener: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.services.listeners.addresses()[self.listener]

    def url(self, path: str) -> str:
        """The path there."""
        host, port = self.address
        return f"http://{host}:{port}{path}"


@asynccontextmanager
async def gateway(
    *doors: FakeDoor, config: Mapping[str, Any] | None = None, limits: HttpLimits | None = None,
    clock: Clock | None = None, listener: Listener | None = None,
) -> AsyncIterator[Gateway]:  # fmt: skip
    """Serves the doors on a port of its own until left."""
    listeners = Listeners({"public": listener or Listener(address="127.0.0.1:0")}, limits=limits)
    services = FakeServices(listeners, clock or SystemClock())
    await listeners.start()
    try:
        async with serving(services, *doors, config=config) as (server, served):
            yield Gateway(services, server, served, "public")
    finally:
        await listeners.stop(grace=1)


@asynccontextmanager
async def serving(
    services: FakeServices, *doors: FakeDoor, config: Mapping[str, Any] | None = None, name: str = "partners"
) -> AsyncIterator[tuple[HttpServer, FakeDoors]]:
    """One HTTP source on these services, open and running."""
    settings = HttpServerConfig.model_validate({"type": "http_server", "auth": "none", **(config or {})})
    server, served = HttpServer(name, settings, services), FakeDoors(*doors)
    await server.open()
    running = asyncio.create_task(server.run(served))
    await asyncio.sleep(0)
    try:
        yield server, served
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()
