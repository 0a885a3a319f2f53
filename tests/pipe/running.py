"""A whole gateway in the test's own process, and a partner that keeps what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

from pipe.app import Gateway, Settings


class Partner:
    """Takes everything with 200 and keeps the bodies."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.status = 200
        self.answer: Any = {"state": "ok"}
        self.silent = False
        """it takes a request and never answers"""
        self._changed = asyncio.Condition()
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self._take)
        self._server = TestServer(application, host="127.0.0.1")

    async def _take(self, request: web.Request) -> web.Response:
        if self.silent:
            await request.read()
            await asyncio.sleep(3600)
        if self.status == 200:
            self.bodies.append(await request.json() if request.can_read_body else None)
            async with self._changed:
                self._changed.notify_all()
        return web.json_response(self.answer, status=self.status)

    async def got(self, enough: Callable[[list[Any]], bool]) -> None:
        """Returns once the bodies are enough; at most 30 s."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: enough(self.bodies))

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._server.make_url("")).rstrip("/")

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.close()


@asynccontextmanager
async def running(config: Path, store: str | None = None) -> AsyncIterator[Gateway]:
    """A gateway with this configuration, its data beside it or in `store`, on a free port of loopback."""
    gateway = Gateway(Settings(config, config.parent / "data", "127.0.0.1:0", store))
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
