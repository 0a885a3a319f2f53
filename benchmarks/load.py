"""The load: connections that stay open and ask again as soon as they are answered. Runs as a process of its own.

`python -m benchmarks.load HOST PORT PATH SECONDS CONNECTIONS KEYS` prints one JSON object, the fields of `Load`. With
KEYS each request has one of so many keys, by chance, as `X-Key`.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import cast

import orjson
import uvloop

BODY = orjson.dumps(
    {
        "applicant": {"name": "Олена Коваленко", "phone": "+380671234567"},
        "text": "В будинку третій день немає води. " * 14,
        "urgent": False,
        "place": {"city": "Київ", "street": "вулиця Хрещатик", "house": 22, "flat": 7},
    }
)
"""about 1 KiB"""
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Load:
    """What became of the requests of one measurement."""

    answered: int
    """2xx answers"""
    refused: int
    """other answers"""
    seconds: float
    p50: float
    """milliseconds until half of the answers were there"""
    p99: float
    began: float
    """on the machine's monotonic clock, which all processes share"""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


class Caller(asyncio.Protocol):
    """One connection. `latencies` gets the seconds that each answer took, once `recording` is set."""

    def __init__(self, request: Callable[[], bytes], until: float, tally: Tally) -> None:
        self._request = request
        self._until = until
        self._tally = tally
        self._got = b""
        self._asked = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks at once."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Asks again once the whole answer is there."""
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._got, 0, end)
        assert length is not None, f"an answer without Content-Length: {self._got[:200]!r}"
        if len(self._got) < end + 4 + int(length[1]):
            return
        self._tally.note(self._got[9:10] == b"2", time.monotonic() - self._asked)
        self._got = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection that breaks spoils the measurement."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the subject closed a connection"))

    def _ask(self) -> None:
        self._asked = time.monotonic()
        if self._asked < self._until:
            self._transport.write(self._request())
        else:
            self.done.set_result(None)
            self._transport.close()


class Tally:
    """Counts answers."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.refused = 0

    def note(self, good: bool, seconds: float) -> None:
        """One answer."""
        if good:
            self.latencies.append(seconds)
        else:
            self.refused += 1

    def load(self, began: float, seconds: float) -> Load:
        """What it comes to."""
        ordered = sorted(self.latencies) or [0.0]
        p50, p99 = (round(ordered[int(len(ordered) * share)] * 1000, 2) for share in (0.5, 0.99))
        return Load(len(self.latencies), self.refused, seconds, p50, p99, began)


def requests(host: str, path: str, keys: int) -> Callable[[], bytes]:
    """What makes the next request."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    ).encode()
    if keys == 0:
        whole = head + b"\r\n" + BODY
        return lambda: whole
    chance = random.Random(1)
    return lambda: b"%bX-Key: %d\r\n\r\n%b" % (head, chance.randrange(keys), BODY)


async def run(host: str, port: int, path: str, seconds: float, connections: int, keys: int) -> Load:
    """Asks for so many seconds over so many connections."""
    request = requests(host, path, keys)
    loop = asyncio.get_running_loop()
    tally = Tally()
    began = time.monotonic()
    made = [
        await loop.create_connection(lambda: Caller(request, began + seconds, tally), host, port)
        for _ in range(connections)
    ]
    await asyncio.gather(*(caller.done for _, caller in made))
    return tally.load(began, time.monotonic() - began)


if __name__ == "__main__":
    _host, _port, _path, _seconds, _connections, _keys = sys.argv[1:]
    _load = uvloop.run(run(_host, int(_port), _path, float(_seconds), int(_connections), int(_keys)))
    sys.stdout.buffer.write(orjson.dumps(asdict(_load)))
