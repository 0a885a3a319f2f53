"""`python -m benchmarks.http_client`: what one POST of 1 KiB costs the sender, in microseconds of its processor.

The best of many short rounds counts, so that a busy machine disturbs little. The floor is a request written by hand.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import cast

import aiohttp
import uvloop

from adapters.http_client import HttpClient, HttpConfig, HttpTarget
from pipe.contract import Message, Outgoing, Timeout
from pipe.testing import FakeServices

BODY = b'{"text": "' + b"x" * 1012 + b'"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'
ROUNDS, EACH, AT_ONCE = 40, 160, 8


class Answering(asyncio.Protocol):
    """The cheapest partner: it answers whatever ends like the body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers once the body is complete."""
        if data.endswith(b"}"):
            self.transport.write(ANSWER)


def serve(port: Connection) -> None:
    """Runs the partner and tells its port."""

    async def running() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(running())


async def cheapest(send: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of processor for one call, at best."""

    async def some() -> None:
        for _ in range(EACH // AT_ONCE):
            await send()

    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
        best = min(best, (time.process_time() - began) / EACH * 1e6)
    return best


async def measured(port: int) -> dict[str, float]:
    """The three ways, by name."""
    address = f"http://127.0.0.1:{port}"
    config = HttpConfig.model_validate({"type": "http_client", "url": address, "concurrency": AT_ONCE})
    ours = HttpClient("partner", config, FakeServices())
    await ours.open()
    target = HttpTarget.model_validate({"post": "/orders/${message.id}"})
    message = Message("m-1", "orders", BODY, content_type="application/json")
    outgoing = Outgoing(message, target, "d-1", 1, Timeout())
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(AT_ONCE)]
    request = b"POST /orders/m-1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY

    async def by_hand() -> None:
        reader, writer = lines.pop()
        writer.write(request)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(11)
        lines.append((reader, writer))

    async with aiohttp.ClientSession() as session:

        async def by_session() -> None:
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{address}/orders/m-1", data=BODY, headers=headers) as answer:
                await answer.json()

        costs = {
            "by hand": await cheapest(by_hand),
            "http_client.send": await cheapest(lambda: ours.send(outgoing)),
            "aiohttp.ClientSession.post": await cheapest(by_session),
        }
    await ours.close()
    for _, writer in lines:
        writer.close()
    return costs


def main() -> None:
    """Prints one line for each way."""
    here, there = multiprocessing.Pipe()
    partner = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    partner.start()
    try:
        for name, cost in uvloop.run(measured(here.recv())).items():
            print(f"{name:28} {cost:6.1f} µs")
    finally:
        partner.kill()


if __name__ == "__main__":
    main()
