"""The partner behind the subjects: answers as fast as Python can, counts, and knows when requests came.

`python -m benchmarks.backend [answering | refusing | hanging]` prints its port. A refusing one holds its port and
refuses connections; a hanging one takes everything and never answers. SIGUSR1 lets a refusing one answer and an
answering one refuse. `GET /` tells `{count, first, last, bad, late}` and forgets what was late; every POST is counted
and gets 200.
"""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
import time
from typing import cast

import orjson
import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_SENT = re.compile(rb"<Sent>([0-9.]+)</Sent>")


class Count:
    """What all connections share."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0.0
        """when the first request came since it answers"""
        self.last = 0.0
        self.bad = 0
        """XML that does not end as it should"""
        self.late: list[float] = []
        """milliseconds from the moment that a body names as `Sent` to its arrival"""

    def told(self) -> bytes:
        """All of it; what was late is told once."""
        late, self.late = self.late, []
        return orjson.dumps(
            {"count": self.count, "first": self.first, "last": self.last, "bad": self.bad, "late": late}
        )

    def take(self, body: bytes) -> None:
        """One message."""
        self.count += 1
        self.last = time.monotonic()
        self.first = self.first or self.last
        if body[:1] == b"<" and not body.rstrip().endswith(b"</Appeal>"):
            self.bad += 1
        if (sent := _SENT.search(body, 0, 2000)) is not None:
            self.late.append(round((self.last - float(sent[1])) * 1000, 2))


class Answerer(asyncio.Protocol):
    """One connection; requests may come one after another or all at once."""

    def __init__(self, count: Count, lines: set[asyncio.Transport]) -> None:
        self._count, self._lines = count, lines
        self._got = b""
        self._parts: list[bytes] = []
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = cast("asyncio.Transport", transport)
        self._lines.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._lines.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answers every whole request."""
        if self._missing > len(data):  # of a large body: put together once, at its end
            self._parts.append(data)
            self._missing -= len(data)
            return
        if self._parts:
            data = b"".join((*self._parts, data))
            self._parts, self._missing = [], 0
        self._got = self._got + data if self._got else data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._got, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._got) < whole:
                self._parts, self._missing, self._got = [self._got], whole - len(self._got), b""
                return
            self._transport.write(self._answer(self._got[: end + 4], self._got[end + 4 : whole]))
            self._got = self._got[whole:]

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET"):
            told = self._count.told()
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                len(told),
                told,
            )
        self._count.take(body)
        return OK


class Partner:
    """Holds a port, and answers there or refuses."""

    def __init__(self) -> None:
        self.count = Count()
        self._lines: set[asyncio.Transport] = set()
        # Two sockets share the port: the one that never listens keeps it while nobody answers.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        self._server: asyncio.Server | None = None

    async def answer(self, kind: type[Answerer] = Answerer) -> None:
        """Takes connections from now on."""
        self.count.first = 0.0
        self._server = await asyncio.get_running_loop().create_server(
            lambda: kind(self.count, self._lines), "127.0.0.1", self.port, backlog=1024, reuse_port=True
        )

    def refuse(self) -> None:
        """Drops every connection and takes none."""
        assert self._server is not None
        self._server.close()
        self._server = None
        for line in list(self._lines):
            line.abort()

    async def turn(self) -> None:
        """From the one to the other."""
        if self._server is None:
            await self.answer()
        else:
            self.refuse()


class Hanging(Answerer):
    """Takes everything, answers nothing."""

    def data_received(self, data: bytes) -> None:
        """Into the void."""


async def run(manner: str = "answering") -> None:
    """Serves until it is ended."""
    partner = Partner()
    if manner != "refusing":
        await partner.answer(Hanging if manner == "hanging" else Answerer)
    loop = asyncio.get_running_loop()
    turning: list[asyncio.Task[None]] = []  # a task that nobody holds may be gone before it is done
    loop.add_signal_handler(signal.SIGUSR1, lambda: turning.append(loop.create_task(partner.turn())))
    sys.stdout.write(f"{partner.port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:]))
