"""The HTTP client keeps the promises of every source, sink and caller, against a real server."""

import contextlib
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from adapters.http_client import HttpClient, HttpSubscription
from pipe.testing import FakeClock, FakeServices
from pipe.testing.suites import CallerContract, SourceContract
from tests.adapters.http_bench import config, target
from tests.adapters.raw_server import RawServer, Received, reply, serving


class Partner:
    """A server that can go away, with a client that leads to it."""

    def __init__(self, server: RawServer, running: contextlib.AsyncExitStack) -> None:
        self.server, self._running, self.clock = server, running, FakeClock()

    def make(self) -> HttpClient:
        """A new adapter that leads here."""
        return HttpClient("partner", config(self.server), FakeServices(self.clock))

    async def leave(self) -> None:
        """Nobody is here any more."""
        await self._running.aclose()


class CalledPartner(Partner):
    """Takes POSTs and answers them."""

    answer: ClassVar = {"ok": True}
    target = target(post="/in/${message.id}")

    async def received(self) -> list[bytes]:
        """What arrived."""
        return [request.body for request in self.server.requests]


class PolledPartner(Partner):
    """Has a queue; a client that sends an ETag back has what it stands for, and gets the next."""

    options = HttpSubscription.model_validate({"get": "/next", "every": "1s"})

    def __init__(self, server: RawServer, running: contextlib.AsyncExitStack) -> None:
        super().__init__(server, running)
        self.queue: list[bytes] = []
        self.confirmed: list[bytes] = []
        server.on("/next", self._next)

    async def _next(self, request: Received, writer: object) -> None:
        known = request.headers.get("if-none-match")
        if self.queue and known == self._etag(self.queue[0]):
            self.confirmed.append(self.queue.pop(0))
        answer = reply(200, self.queue[0], ETag=self._etag(self.queue[0])) if self.queue else reply(204)
        writer.write(answer)  # type: ignore[attr-defined]

    @staticmethod
    def _etag(body: bytes) -> str:
        return f'"{body.hex()}"'

    async def offer(self, body: bytes) -> None:
        """One message more to take."""
        self.queue.append(body)

    async def tick(self) -> None:
        """Time for the next look."""
        await self.clock.advance(1)

    async def told(self, body: bytes) -> bool:
        """Whether it was confirmed."""
        return body in self.confirmed


@pytest.fixture
async def running() -> AsyncIterator[contextlib.AsyncExitStack]:
    """What `leave` takes down."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


class TestHttpCaller(CallerContract):
    """One POST is one attempt, and the answer is in the receipt."""

    @pytest.fixture
    async def peer(self, running: contextlib.AsyncExitStack) -> CalledPartner:
        """Fresh for each promise."""
        server = await running.enter_async_context(serving(RawServer()))
        server.answers(reply(200, b'{"ok":true}', Content_Type="application/json"))
        return CalledPartner(server, running)


class TestHttpPolling(SourceContract):
    """An ETag goes back only when its message is safe."""

    @pytest.fixture
    async def peer(self, running: contextlib.AsyncExitStack) -> PolledPartner:
        """Fresh for each promise."""
        return PolledPartner(await running.enter_async_context(serving(RawServer())), running)
