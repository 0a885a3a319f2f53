"""The SOAP adapters keep the promises of every source and caller, against real servers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import aiohttp
import orjson
import pytest
from lxml import etree

from adapters.soap.client import SoapClient, SoapTarget
from adapters.soap.server import SoapServer, SoapServerConfig, SoapSubscription
from pipe.config.models import Listener
from pipe.contract import Health
from pipe.testing import FakeServices
from pipe.testing.doors import FakeDoor, FakeDoors
from pipe.testing.suites import CallerContract, SourceContract
from tests.adapters.http_server_gateway import FakeServices as Listening
from tests.adapters.soap_bench import Partner, T, client_config, envelope, partner, wsdl
from tests.adapters.test_soap_client import GOOD
from web.listener import Listeners

CALL = {"id": "1", "applicant": {"name": {"#text": "n"}}, "phone": "+380671234567", "due": None}
SCAN = f"{{{T}}}scan"


class CalledPartner:
    """Answers calls; what the suites hand over travels as the binary `scan`."""

    answer: ClassVar = {"number": 7, "state": "ok"}
    target = SoapTarget(call="Register")

    def __init__(self, there: Partner, running: contextlib.AsyncExitStack) -> None:
        self._there, self._running = there, running

    def make(self) -> SoapClient:
        """A new adapter that leads here."""
        return SoapClient("registry", client_config(self._there.address), FakeServices())

    def body_of(self, raw: bytes) -> Any:
        """The parameters that stand for these bytes."""
        return {**CALL, "scan": raw}

    async def leave(self) -> None:
        """Nobody is here any more."""
        await self._running.aclose()

    async def received(self) -> list[bytes]:
        """What arrived."""
        return [base64.b64decode(etree.fromstring(raw).findtext(f".//{SCAN}") or "") for _, raw in self._there.requests]


class Caller:
    """Calls the one-way operation; what the suites offer travels as Base64 text."""

    options = SoapSubscription(operation="Remind")

    def __init__(self, services: Listening) -> None:
        self._services = services
        self._calls: list[asyncio.Task[None]] = []
        self._told: list[bytes] = []

    def make(self) -> SoapServer:
        """A new adapter on the same listener."""
        return SoapServer("legacy", SoapServerConfig(auth="none", wsdl=wsdl("appeals.wsdl")), self._services)

    def bytes_of(self, body: bytes) -> bytes:
        """What was offered, out of the values that the door got."""
        return base64.b64decode(orjson.loads(body)["id"])

    async def offer(self, body: bytes) -> None:
        """One call."""
        self._calls.append(asyncio.create_task(self._call(body)))

    async def _call(self, body: bytes) -> None:
        host, port = self._services.listeners.addresses()["public"]
        text = base64.b64encode(body).decode()
        raw = envelope(f'<t:Remind xmlns:t="{T}"><t:id>{text}</t:id></t:Remind>')
        headers = {"Content-Type": "text/xml", "Connection": "close"}
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as client,
                client.post(f"http://{host}:{port}/soap/legacy", data=raw, headers=headers) as answer,
            ):
                if answer.status == 202:
                    self._told.append(body)

    async def told(self, body: bytes) -> bool:
        """Whether it was answered 202."""
        return body in self._told

    async def all_answered(self) -> None:
        """Every call has ended."""
        await asyncio.gather(*self._calls)

    async def leave(self) -> None:
        """Callers come and go; a server does not miss them."""

    async def close(self) -> None:
        """Hangs up."""
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)


class TestSoapCaller(CallerContract):
    """One call is one attempt, and the answer is in the receipt."""

    @pytest.fixture
    async def peer(self) -> AsyncIterator[CalledPartner]:
        """Fresh for each promise."""
        async with contextlib.AsyncExitStack() as running:
            yield CalledPartner(await running.enter_async_context(partner(body=GOOD)), running)


class TestSoapSource(SourceContract):
    """A one-way call is answered once it is safe."""

    @pytest.fixture
    async def peer(self) -> AsyncIterator[Caller]:
        """Fresh for each promise."""
        listeners = Listeners({"public": Listener(address="127.0.0.1:0")})
        await listeners.start()
        peer = Caller(Listening(listeners))
        try:
            yield peer
        finally:
            await peer.close()
            await listeners.stop(grace=0)

    async def test_a_stopped_source_confirms_nothing_more(self, peer: Caller) -> None:  # type: ignore[override]
        """A call under way is answered when its message is safe, as over HTTP; a new one finds nobody."""
        door, server = FakeDoor(peer.options), peer.make()
        door.held = asyncio.Event()
        await server.open()
        running = asyncio.create_task(server.run(FakeDoors(door)))
        await peer.offer(b"one")
        await door.knocked()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        before = await peer.told(b"one")
        door.held.set()
        await door.arrived()
        await peer.offer(b"two")
        await peer.all_answered()
        await server.close()
        assert (before, await peer.told(b"one"), await peer.told(b"two")) == (False, True, False)

    async def test_check_tells_that_the_peer_is_gone(self, peer: Caller) -> None:  # type: ignore[override]
        """A server waits for whoever comes: it is well once its WSDL is read, and says what it waits for before."""
        server = peer.make()
        before = await server.check()
        await server.open()
        after = await server.check()
        await server.close()
        assert (before, after) == (Health("unknown", "its WSDL has not been read yet"), Health("up"))
