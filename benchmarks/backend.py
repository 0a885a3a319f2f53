"""The partner behind the subjects: answers as fast as Python can, counts, and knows when the last request came.

`python -m benchmarks.backend` prints its port. `GET /` tells `{count, last, bad}`; every POST is counted and gets 200.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import cast

import orjson
import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Count:
    """What all connections share."""

    def __init__(self) -> None:
        self.count = 0
        self.last = 0.0
        self.bad = 0
        """XML that does not end as it should"""


class Answerer(asyncio.Protocol):
    """One connection; requests may come one after another or all at once."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers every whole request."""
        self._got = self._got + data if self._got else data
        while (end := self._got.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._got, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._got) < whole:
                return
            self._transport.write(self._answer(self._got[: end + 4], self._got[end + 4 : whole]))
            self._got = self._got[whole:]

    def _answer(self, head: bytes, body: bytes) -> bytes:
        count = self._count
        if head.startswith(b"GET"):
            told = orjson.dumps({"count": count.count, "last": count.last, "bad": count.bad})
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                len(told),
                told,
            )
        count.count += 1
        count.last = time.monotonic()
        if body[:1] == b"<" and not body.rstrip().endswith(b"</Appeal>"):
            count.bad += 1
        return OK


async def run() -> None:
    """Serves until it is ended."""
    count = Count()
    server = await asyncio.get_running_loop().create_server(lambda: Answerer(count), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(run())
