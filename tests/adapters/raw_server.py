"""A partner on a loopback port that speaks HTTP byte by byte, so that it can misbehave in every way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipe.contract import Blob


@dataclass
class Received:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    """names in lower case"""
    head: bytes
    body: bytes
    connection: int
    """which connection it came on, counted from 0"""
    reader: asyncio.StreamReader
    """what follows on the connection"""
    peer_cert: Any = None


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def reply(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a well-made answer; `Content_Type="text/plain"` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Length": str(len(body)), **named}.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode() + body


def says(*pieces: bytes, pause: float = 0.0, end: bool = False) -> Behaviour:
    """Writes these pieces with a pause between them; `end` closes the connection afterwards."""

    async def behave(request: Received, writer: asyncio.StreamWriter) -> None:
        for number, piece in enumerate(pieces):
            if number and pause:
                await asyncio.sleep(pause)
            writer.write(piece)
            await writer.drain()
        if end:
            writer.close()

    return behave


async def hangs(request: Received, writer: asyncio.StreamWriter) -> None:
    """Reads the request and never answers."""
    await asyncio.Event().wait()


def resets(*pieces: bytes) -> Behaviour:
    """Writes these pieces, then resets the connection (RST, not FIN)."""

    async def behave(request: Received, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return behave


@dataclass
class RawServer:
    """What it was asked, and how it answers by path (`*` for the rest)."""

    behaviours: dict[str, Behaviour] = field(default_factory=lambda: {"*": says(reply(200))})
    requests: list[Received] = field(default_factory=list)
    port: int = 0
    connections: int = 0
    idle: float | None = None
    """seconds after which an idle connection is closed"""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def asked(self, count: int = 1) -> None:
        """Returns once so many requests arrived in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def left_alone(self) -> None:
        """Returns once every connection has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._writers)

    def on(self, path: str, *behaviours: Behaviour) -> None:
        """How a path is answered; several behaviours are taken in turn, the last one stays."""
        left = list(behaviours)

        async def in_turn(request: Received, writer: asyncio.StreamWriter) -> None:
            await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

        self.behaviours[path] = in_turn

    def answers(self, *raw: bytes) -> None:
        """Every path is answered by these bytes in turn."""
        self.on("*", *(says(one) for one in raw))

    def drop_idle(self) -> None:
        """Says farewell on every connection at once, before the event loop turns again."""
        for writer in self._writers:
            # A second handle: uvloop lends none that may be shut down.
            with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as handle:
                handle.shutdown(socket.SHUT_WR)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        number = self.connections
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, TimeoutError):
            while not writer.is_closing():
                async with asyncio.timeout(self.idle):
                    request = await _read(reader, number)
                request.peer_cert = writer.get_extra_info("peercert")
                self.requests.append(request)
                async with self._changed:
                    self._changed.notify_all()
                path = request.target.split("?")[0]
                await self.behaviours.get(path, self.behaviours["*"])(request, writer)
                await writer.drain()
        self._writers.discard(writer)
        async with self._changed:
            self._changed.notify_all()


async def _read(reader: asyncio.StreamReader, number: int) -> Received:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, head, body, number, reader)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(handler: Handler, context: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[int]:
    """The port of a server on 127.0.0.1 whose connections are all gone afterwards."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", port, ssl=context, limit=1 << 14)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def serving(server: RawServer, context: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[RawServer]:
    """Runs it on a free port of 127.0.0.1, or again on one that it had."""
    async with listening(server.handle, context, port) as server.port:
        yield server


@contextlib.contextmanager
def handshaking(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that shakes hands in a thread of its own, reads a little, and ends each connection.

    asyncio's own TLS server breaks off without sending the alert that says why; OpenSSL on a plain socket sends it.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(5)
            secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            try:
                secured.do_handshake()
                secured.recv(1024)
            except OSError:
                pass
            # Reading to the end keeps the kernel from answering with a reset that would overtake the alert.
            with contextlib.suppress(OSError), socket.socket(fileno=secured.detach()) as plain:
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def content(body: bytes | Blob) -> bytes:
    """The bytes of a body, whichever it is."""
    return body.read() if isinstance(body, Blob) else body
