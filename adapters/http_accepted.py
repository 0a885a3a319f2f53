"""The 202 of an accepted message, written in one piece: it is the answer that the gateway gives most."""

from __future__ import annotations

import functools
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

    from pipe.contract import Accepted

STORIES = "/pipe/messages/"
"""what is below tells what became of a message"""


class Taken(web.Response):
    """202 with the message's id.

    aiohttp composes each header anew, which costs more than all that the gateway itself does for a request. A client
    that keeps its connection open (HTTP/1.1's default) gets the same bytes from here; any other gets them from aiohttp.
    """

    def __init__(self, accepted: Accepted) -> None:
        text = f'{{"id":"{accepted.id}","status_url":"{STORIES}{accepted.id}"}}'
        super().__init__(status=202, body=text.encode(), content_type="application/json")
        if accepted.replayed:
            self.headers["Idempotent-Replayed"] = "true"
        self._whole: bytes | None = None
        self._length = len(text)
        self._text = text
        self._replayed = accepted.replayed

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; known once prepared."""
        return True if self._whole is not None else super().keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Composes the answer."""
        at_rest = not request.protocol.writing_paused  # else the peer does not read, and aiohttp waits until it does
        if super().keep_alive is False or not request.keep_alive or request.version != (1, 1) or not at_rest:
            return await super().prepare(request)
        replayed = "Idempotent-Replayed: true\r\n" if self._replayed else ""
        self._whole = (
            f"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: {self._length}\r\n"
            f"{replayed}Date: {_date(int(time.time()))}\r\n\r\n{self._text}"
        ).encode()
        self._transport = request.transport
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends it."""
        if self._whole is None:
            await super().write_eof(data)
        elif self._transport is not None:
            self._transport.write(self._whole)


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
