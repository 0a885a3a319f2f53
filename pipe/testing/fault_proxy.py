"""A TCP proxy on loopback that does to connections what networks do, switched while they run.

async with FaultProxy(("127.0.0.1", server.port)) as proxy:
...                                          # connect to proxy.port: everything passes
await proxy.turn(faults.Cut(after=100))      # answers end after 100 bytes
await proxy.heal()
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Literal, Self

from pipe.testing.faults import Fault, Refuse

HOST = "127.0.0.1"
PIECE = 64 * 1024
TURNS = 5
_AT_ONCE = struct.pack("ii", 1, 0)
"""a linger of no seconds makes the close a reset instead of an orderly end"""


class FaultProxy:
    """Stands between a client and a server; keeps its port for life, also while it refuses connections."""

    def __init__(self, server: tuple[str, int], fault: Fault | None = None) -> None:
        """`server` is host and port behind it; `fault` is in force from the beginning."""
        self.server = server
        """where new connections lead"""
        self.fault = fault or Fault()
        self.met = 0
        """connections that were taken so far"""
        self.changed = asyncio.Event()
        """set when another fault is turned on, and then replaced"""
        self._holder = _bound(0)
        self.port: int = self._holder.getsockname()[1]
        self._listener: asyncio.Server | None = None
        self._lines: dict[Line, asyncio.Task[None]] = {}
        self._arrived = asyncio.Condition()

    @property
    def address(self) -> str:
        """HOST:PORT to connect to."""
        return f"{HOST}:{self.port}"

    @property
    def standing(self) -> int:
        """Connections that stand now, whatever state they are in."""
        return len(self._lines)

    async def turn(self, fault: Fault) -> None:
        """Puts another fault in force, for connections that stand too. When it returns, new ones meet it."""
        self.fault = fault
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        for line in list(self._lines):
            line.begin_count()
            fault.take_over(line)
        if fault.listens:
            await self._listen()
        else:
            self._refuse()

    async def heal(self) -> None:
        """From now on everything passes."""
        await self.turn(Fault())

    def drop(self) -> None:
        """Resets every connection that stands."""
        for line in list(self._lines):
            line.reset()

    async def reached(self, count: int) -> None:
        """Returns once so many connections were taken in all."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.met >= count)

    async def __aenter__(self) -> Self:
        if self.fault.listens:
            await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._refuse()
        self.fault = Refuse()
        self.changed.set()
        for _turn in range(TURNS):
            await asyncio.sleep(0)  # what the loop has accepted just now becomes a line first
        tasks = list(self._lines.values())
        self.drop()
        await asyncio.gather(*tasks)
        self._holder.close()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._take, sock=_bound(self.port), backlog=1024)

    def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, task = Line(self, reader, writer), asyncio.current_task()
        assert task is not None
        self._lines[line] = task
        try:
            async with self._arrived:
                self.met += 1
                self._arrived.notify_all()
            await self.fault.meet(line)
            await line.close()
        finally:
            del self._lines[line]


class Line:
    """One connection: its two ends and the two streams between them."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.proxy = proxy
        self.over = asyncio.Event()
        """set once it was reset"""
        self._reader = reader
        self._client = writer
        self._server: asyncio.StreamWriter | None = None
        self._streams: tuple[Stream, ...] = ()

    async def join(self) -> None:
        """Connects to the server and carries both ways until both have ended; no server is a reset for the client."""
        try:
            reader, self._server = await asyncio.open_connection(*self.proxy.server)
        except OSError:
            self.reset()
        if self._server is None or self.over.is_set():
            return
        to_server = Stream(self, "server", self._reader, self._server)
        self._streams = (to_server, Stream(self, "client", reader, self._client))
        await asyncio.gather(*(stream.run() for stream in self._streams))

    def abandon(self) -> None:
        """Looks at the client no more, and resets the server's end."""
        self._lose()
        if not self._client.is_closing():
            self._client.transport.pause_reading()  # type: ignore[attr-defined]
        if self._server is not None:
            _abort(self._server)

    def finish(self) -> None:
        """FIN to both; what they still say is read and dropped."""
        self._lose()
        for writer in self._ends():
            if not writer.is_closing():
                with suppress(OSError):  # it was reset a moment ago
                    writer.write_eof()

    def reset(self) -> None:
        """RST to both; harmless when they are closed already."""
        self._lose()
        for writer in self._ends():
            _abort(writer)
        self.over.set()

    async def close(self) -> None:
        """Waits for the client's last word, and closes what is still open."""
        with suppress(OSError):
            while await self._reader.read(PIECE):
                continue
        for writer in self._ends():
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def begin_count(self) -> None:
        """Another fault is in force: its bytes count from here."""
        for stream in self._streams:
            stream.passed = 0

    def _ends(self) -> list[asyncio.StreamWriter]:
        return [writer for writer in (self._client, self._server) if writer is not None]

    def _lose(self) -> None:
        for stream in self._streams:
            stream.lost = True


class Stream:
    """One direction of a connection."""

    def __init__(
        self,
        line: Line,
        towards: Literal["server", "client"],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.line, self.towards = line, towards
        self.passed = 0
        """bytes that went on since the fault was turned on"""
        self.lost = False
        """whether all that comes is dropped, its end included"""
        self._reader, self._writer = reader, writer
        writer.transport.set_write_buffer_limits(0)

    async def run(self) -> None:
        """Carries until the sender has said its last word; a reset of one side is a reset of the other."""
        try:
            while piece := await self._reader.read(PIECE):
                if not self.lost:
                    await self.carry(piece)
            if not self.lost and not self._writer.is_closing():
                self._writer.write_eof()
        except OSError:
            if not self.lost:
                self.line.reset()

    async def carry(self, piece: bytes) -> None:
        """Hands it to the fault that is in force now."""
        await self.line.proxy.fault.carry(self, piece)

    async def pass_on(self, piece: bytes) -> None:
        """Sends it, and returns when the system has taken all of it."""
        if piece and not self.lost and not self._writer.is_closing():
            self.passed += len(piece)
            self._writer.write(piece)
            await self._writer.drain()

    async def rest(self, seconds: float) -> bool:
        """Waits so long, but no longer than the fault is in force; whether it still is."""
        changed = self.line.proxy.changed
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await changed.wait()
        return not changed.is_set()


def _abort(writer: asyncio.StreamWriter) -> None:
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


def _bound(port: int) -> socket.socket:
    """A socket that has the port without listening: another one may listen there, and while none does, it refuses."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound
