"""The promises of every source and sink, kept with webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from adapters.webhook import Webhook
from adapters.webhook.config import WebhookConfig, WebhookSubscription, WebhookTarget
from pipe.clock import SystemClock
from pipe.config.models import Listener
from pipe.testing.doors import FakeDoor, FakeDoors
from pipe.testing.suites import SinkContract, SourceContract
from tests.adapters.http_server_gateway import FakeServices
from tests.adapters.raw_server import RawServer, serving
from tests.adapters.test_webhook_receiving import OLD, sign, written
from web.listener import Listeners


class Peer:
    """Somebody who sends webhooks to our listener, and receives ours."""

    options = WebhookSubscription()
    target = WebhookTarget()

    def __init__(
        self, folder: Path, services: FakeServices, server: RawServer, left: contextlib.AsyncExitStack
    ) -> None:
        self._services, self._server, self._left = services, server, left
        keys = {"secret": written(folder, OLD), "url": f"http://127.0.0.1:{server.port}"}
        self._config = WebhookConfig.model_validate({"type": "webhook", **keys})
        self._numbers = itertools.count()
        self._told: list[bytes] = []
        self.posts: list[asyncio.Task[None]] = []

    def make(self) -> Webhook:
        """A new adapter on the same listener."""
        return Webhook("crm", self._config, self._services)

    async def offer(self, body: bytes) -> None:
        """One webhook."""
        self.posts.append(asyncio.create_task(self._post(body, f"msg-{next(self._numbers)}")))

    async def _post(self, body: bytes, id: str) -> None:
        host, port = self._services.listeners.addresses()["public"]
        at = int(time.time())
        claim = f"v1,{sign(OLD, id, at, body)}"
        headers = {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": claim, "Connection": "close"}
        with contextlib.suppress(aiohttp.ClientError):
            async with (
                aiohttp.ClientSession() as client,
                client.post(f"http://{host}:{port}/hooks/crm", data=body, headers=headers) as answer,
            ):
                if answer.status == 200:
                    self._told.append(body)

    async def told(self, body: bytes) -> bool:
        """Whether it was answered 200."""
        return body in self._told

    async def received(self) -> list[bytes]:
        """See SinkPeer."""
        return [request.body for request in self._server.requests]

    async def leave(self) -> None:
        """See AdapterPeer."""
        await self._left.aclose()


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    """Both directions."""
    listeners = Listeners({"public": Listener(address="127.0.0.1:0")})
    await listeners.start()
    async with contextlib.AsyncExitStack() as left:
        server = await left.enter_async_context(serving(RawServer()))
        made = Peer(tmp_path, FakeServices(listeners, SystemClock()), server, left)
        yield made
    await listeners.stop(grace=1)
    await asyncio.gather(*made.posts)


class TestWebhookSource(SourceContract):
    """What comes in."""

    async def test_a_stopped_source_confirms_nothing_more(self, peer: Peer) -> None:  # type: ignore[override]
        """A webhook under way is answered when its message is safe, as over HTTP; a new one finds nobody."""
        door, adapter = FakeDoor(peer.options), peer.make()
        door.held = asyncio.Event()
        await adapter.open()
        running = asyncio.create_task(adapter.run(FakeDoors(door)))
        await asyncio.sleep(0)
        await peer.offer(b"one")
        await door.knocked()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        before = await peer.told(b"one")
        door.held.set()
        await door.arrived()
        await peer.offer(b"two")
        await asyncio.gather(*peer.posts)
        await adapter.close()
        assert (before, await peer.told(b"one"), await peer.told(b"two")) == (False, True, False)


class TestWebhookSink(SinkContract):
    """What goes out."""
