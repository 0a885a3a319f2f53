"""Listeners for one test, and what answers on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from pipe.config.models import Listener
from tests.web.raw_http import exchange
from web.limits import HttpLimits
from web.listener import Listeners

QUICK = HttpLimits(header_seconds=0.4, body_window=0.4, tick=0.05, linger=0.2, keep_alive=5)
GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(request: web.Request) -> web.StreamResponse:
    """Tells what came."""
    body = await request.read()
    return web.json_response({"remote": request.remote, "scheme": request.scheme, "size": len(body)})


@asynccontextmanager
async def listening(
    listener: Listener | None = None, limits: HttpLimits | None = None
) -> AsyncIterator[tuple[Listeners, tuple[str, int]]]:
    """Listeners with the echo, and their address."""
    listeners = Listeners({"public": listener or Listener(address="127.0.0.1:0")}, limits=limits)
    listeners.mount(None, "/echo", echo)
    await listeners.start()
    try:
        yield listeners, listeners.addresses()["public"]
    finally:
        await listeners.stop(grace=1)


def saying(text: str) -> Any:
    """A handler that says the text."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text)

    return handler


async def get(address: tuple[str, int], path: str) -> str:
    """The text at the path, or the status where it is not 200."""
    reply = await exchange(address, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), notice=0)
    return reply.body.decode() if reply.status == 200 else str(reply.status)
