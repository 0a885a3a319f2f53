"""What the gateway is held against: aiohttp with nothing around it, on the same event loop.

`python -m benchmarks.bare handler|proxy BACKEND` prints its port. `handler` reads the body and answers; `proxy` also
hands it to the backend and waits for the answer. Neither keeps anything.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web


async def handler(request: web.Request) -> web.Response:
    """Reads and answers."""
    await request.read()
    return web.json_response({"id": "0"}, status=202)


def proxy(session: aiohttp.ClientSession, backend: str) -> web.Application:
    """Reads, hands on, waits, answers."""

    async def forward(request: web.Request) -> web.Response:
        async with session.post(backend, data=await request.read()) as response:
            return web.Response(body=await response.read(), status=response.status)

    application = web.Application()
    application.router.add_post("/", forward)
    return application


async def run(kind: str, backend: str) -> None:
    """Serves until it is ended."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:
        if kind == "proxy":
            application = proxy(session, backend)
        else:
            application = web.Application()
            application.router.add_post("/", handler)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:]))
