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
_REPLAYED = "Idempotent-Replayed: true\r\n"


def taken(request: web.Request, accepted: Accepted) -> web.StreamResponse:
    """202 with the message's id.

    aiohttp composes each header anew, which costs more than all that the gateway itself does for a request. A client
    that keeps its connection open (HTTP/1.1's default) gets the same bytes from here; any other gets them from aiohttp.
    """
    at_rest = not request.protocol.writing_paused  # else the peer does not read, and aiohttp waits until it does
    if at_rest and request.keep_alive and request.version == (1, 1):
        return Whole(taken_bytes(accepted))
    replayed = {"Idempotent-Replayed": "true"} if accepted.replayed else {}
    return web.Response(status=202, body=_text(accepted.id).encode(), content_type="application/json", headers=replayed)


def taken_bytes(accepted: Accepted) -> bytes:
    """The same as it is sent on a connection that stays open."""
    text = _text(accepted.id)
    return (_head(int(time.time()), len(text), accepted.replayed) + text).encode()


def _text(id: str) -> str:
    return f'{{"id":"{id}","status_url":"{STORIES}{id}"}}'


class Whole(web.StreamResponse):
    """An answer that is ready to be written, header and all, on a connection that stays open.

    What aiohttp would keep about an answer is not even made here: whoever wants to change it takes a `web.Response`.
    """

    def __init__(self, data: bytes) -> None:
        self._bytes = data

    @property
    def keep_alive(self) -> bool:
        """The connection stays open."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Learns where to write."""
        self._transport = request.transport
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends it."""
        if self._transport is not None:
            self._transport.write(self._bytes)


@functools.lru_cache(maxsize=8)
def _head(second: int, length: int, replayed: bool) -> str:
    return (
        f"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        f"{_REPLAYED if replayed else ''}Date: {formatdate(second, usegmt=True)}\r\n\r\n"
    )
