"""HTTP by hand: what a client library would never send, and the bytes that come back."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawReply:
    """An answer, taken apart no further than a test needs."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool
    """whether the server closed the connection afterwards"""

    @property
    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


@asynccontextmanager
async def connected(
    address: tuple[str, int], context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that is closed afterwards, whatever happens."""
    name = "localhost" if context is not None else None
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


async def exchange(
    address: tuple[str, int],
    *pieces: bytes,
    context: ssl.SSLContext | None = None,
    patience: float = 30,
    notice: float = 0.3,
) -> RawReply:
    """Sends the pieces one by one, reads one answer, and waits for `notice` s to see whether the connection closes."""
    async with asyncio.timeout(patience), connected(address, context) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await read_reply(reader, notice)


async def read_reply(reader: asyncio.StreamReader, notice: float = 0.3) -> RawReply:
    """The next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    try:
        async with asyncio.timeout(notice):
            closed = await reader.read(1) == b""
    except TimeoutError:
        closed = False
    except ConnectionError:
        closed = True
    return RawReply(int(lines[0].split()[1]), headers, body, closed)
