"""One connection to a partner, and the watch over all that are in use: how long an answer may take, and a silence."""

from __future__ import annotations

import asyncio
import math
import select
from typing import Any, Literal

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from pipe.contract import Timeout

_SOON = 0.001
"""seconds; event loops keep time in milliseconds, so a timer may ring that much early"""


class Talk(ResponseHandler):
    """aiohttp's protocol, which parses the answers of one exchange after the other.

    aiohttp makes a parser and starts timers anew for each; here they are shared, because that costs more than parsing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.resting = False
        """between two exchanges: whatever the partner says now, nobody asked for it"""
        self.heard: float | None = None
        """since when the partner has been silent, by the event loop's time; None while it need not speak yet"""
        self.cut: Literal["total", "read"] | None = None
        """which of its times was over when the exchange was cut off"""
        self.ends = self.patience = math.inf

    def ask(self, data: bytes, *, whole: bool) -> None:
        """Begins an exchange with these bytes; `whole` where no more will follow, so that the answer is awaited."""
        assert self.transport is not None
        self.resting = False
        if self._parser is None:
            self.set_response_params(read_until_eof=True)
        if whole:
            self.heard = self._loop.time()
        self.transport.write(data)

    def start_timeout(self) -> None:
        """From now on silence counts."""
        self.heard = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Parses; what comes unasked ends the connection, for it must not be taken for the next answer."""
        if self.resting:
            self.force_close()
            if self.transport is not None:
                self.transport.close()
            return
        self.heard = self._loop.time()
        super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Goes on reading where it was paused; aiohttp asks for it after every read, paused or not."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def due(self, now: float) -> float:
        """When the exchange is to be cut off, as far as can be said now."""
        heard = self.heard
        if heard is None or self._reading_paused:  # it is we who are slow
            heard = now
        return min(self.ends, heard + self.patience)

    def cut_off(self, now: float) -> None:
        """Ends the connection because its time is over; the exchange learns it as a broken connection."""
        self.cut = "total" if self.ends <= now + _SOON else "read"
        if self.transport is not None:
            self.transport.abort()


class Line:
    """One connection, in use by one exchange at a time."""

    __slots__ = ("_connection", "file", "good_until", "look", "talk", "transport")

    def __init__(self, connection: Connection) -> None:
        """Raises ConnectionResetError where the partner has left already."""
        talk: Any = connection.protocol
        transport = connection.transport
        if talk is None or transport is None:
            connection.close()
            raise ConnectionResetError("the partner closed the connection at once")
        self._connection = connection
        self.talk: Talk = talk
        self.transport: asyncio.Transport = transport
        self.file: int = transport.get_extra_info("socket").fileno()
        self.look = select.poll()
        self.look.register(self.file, select.POLLIN)
        self.good_until = 0.0
        """the event loop's time; set when it becomes idle"""

    def close(self) -> None:
        """Ends it. Safe twice."""
        self._connection.close()


def still_good(lines: list[Line], now: float) -> list[Line]:
    """Those idle ones that their partners still keep, as far as anyone can know here; the others are closed.

    An idle partner that says something says farewell. That may lie in the socket before the event loop has read it;
    looking there makes a lost race provable: nothing was sent.
    """
    if len(lines) == 1:
        look = lines[0].look
    else:
        look = select.poll()
        for line in lines:
            look.register(line.file, select.POLLIN)
    told = {file for file, _ in look.poll(0)}
    good = []
    for line in lines:
        if now < line.good_until and line.talk.is_connected() and line.file not in told:
            good.append(line)
        else:
            line.close()
    return good


class Watch:
    """Cuts off exchanges whose time is over. One timer serves all: it rings when the first of them may be due."""

    def __init__(self) -> None:
        self._open: set[Talk] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = math.inf

    def begin(self, talk: Talk, began: float, timeout: Timeout) -> None:
        """Watches an exchange that began at this time of the event loop, and over its silences."""
        total, patience = float(timeout.total), float(timeout.read)
        talk.ends, talk.patience, talk.cut, talk.heard = began + total, patience, None, None
        self._open.add(talk)
        earliest = began + min(total, patience)
        if earliest < self._rings:
            self._set(earliest)

    def end(self, talk: Talk) -> None:
        """Watches it no more."""
        self._open.discard(talk)

    def close(self) -> None:
        """Sets no timer any more, once nothing is watched."""
        if not self._open:
            self._set(math.inf)

    def _set(self, rings: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings = rings
        self._timer = asyncio.get_running_loop().call_at(rings, self._look) if rings < math.inf else None

    def _look(self) -> None:
        now, rings = asyncio.get_running_loop().time(), math.inf
        for talk in tuple(self._open):
            due = talk.due(now)
            if due <= now + _SOON:
                self._open.discard(talk)
                talk.cut_off(now)
            else:
                rings = min(rings, due)
        self._set(rings)
