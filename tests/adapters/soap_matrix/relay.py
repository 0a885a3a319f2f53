"""A relay that writes down what goes over the wire, byte for byte, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Relay:
    """Listens on a port of its own and leads to another."""

    port: int
    target: tuple[str, int] = ("127.0.0.1", 0)
    lines: list[tuple[bytearray, bytearray]] = field(default_factory=list)
    """what each connection carried: there, and back"""

    @property
    def address(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    async def all(self) -> list[tuple[bytes, bytes]]:
        """The same as `taken`, once nothing more can come: both ends of every line are done, or wait for a request."""
        async with asyncio.timeout(20):
            while any(not _are_over(there, back) for there, back in self.lines):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.taken()

    def taken(self) -> list[tuple[bytes, bytes]]:
        """The calls since it was asked last, with their answers; what was fetched by GET is left out."""
        lines, self.lines = self.lines, []
        found = [pair for there, back in lines for pair in zip(_messages(there), _messages(back), strict=False)]
        return [(request, answer) for request, answer in found if request.startswith(b"POST")]


@contextlib.asynccontextmanager
async def relaying() -> AsyncIterator[Relay]:
    """A relay; set its `target` before anybody calls."""
    tasks: set[asyncio.Task[None]] = set()
    ends: set[asyncio.StreamWriter] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, noted: bytearray) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                noted += piece
                writer.write(piece)
                await writer.drain()
        # Half a line may close before the other has said everything.
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        ends.add(writer)
        line = (bytearray(), bytearray())
        made.lines.append(line)
        try:
            far_reader, far_writer = await asyncio.open_connection(*made.target)
            ends.add(far_writer)
            try:
                await asyncio.gather(carry(reader, far_writer, line[0]), carry(far_reader, writer, line[1]))
            finally:
                far_writer.close()
                ends.discard(far_writer)
        except ConnectionError:
            return  # nobody is there; who called finds the line closed
        finally:
            writer.close()
            ends.discard(writer)
            tasks.discard(task)

    server = await asyncio.start_server(both, "127.0.0.1", 0)
    made = Relay(server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        server.close()
        # Their tasks are the streams' own, and a cancelled one is logged as a defect: they end with their lines.
        while tasks:
            for end in tuple(ends):
                end.transport.abort()
            await asyncio.wait(tuple(tasks), timeout=0.1)
        await server.wait_closed()


def _are_over(there: bytearray, back: bytearray) -> bool:
    """Whether each request has its answer, and all of both was heard: some answer before they have read to the end."""
    asked, told = _messages(there), _messages(back)
    return len(asked) <= len(told) and all(_size(each) <= len(each) for each in (*asked, *told))


def _messages(raw: bytearray) -> list[bytes]:
    """The HTTP messages of one direction of a connection."""
    found, rest = [], bytes(raw)
    while rest:
        size = _size(rest)
        found.append(rest[:size])
        rest = rest[size:]
    return found


def _size(raw: bytes) -> int:
    head, blank, body = raw.partition(b"\r\n\r\n")
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
    }
    begun = len(head) + len(blank)
    if (length := fields.get(b"content-length")) is not None:
        return begun + int(length)
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        end = body.find(b"0\r\n\r\n") if body.startswith(b"0\r\n") else body.find(b"\r\n0\r\n\r\n") + 2
        return begun + end + len(b"0\r\n\r\n")
    return begun if head.split(b" ", 1)[0] in {b"GET", b"POST"} or fields.get(b"connection") != b"close" else len(raw)
