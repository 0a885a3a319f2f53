"""Carries connections from one kind of socket to another: TLS to plain TCP, TCP to a socket file."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def bridge(lead: Callable[[], Awaitable[Ends]], context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server on loopback each of whose connections goes on to a new one that `lead` makes."""
    tasks: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            further, onward = await lead()
            try:
                await asyncio.wait(
                    [asyncio.create_task(_carry(reader, onward)), asyncio.create_task(_carry(further, writer))],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                onward.transport.abort()
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
