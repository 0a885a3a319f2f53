"""Request bodies: read within their limit, unpacked within it too, and never trusted about their own length."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from aiohttp import web

from pipe.contract import Blob, Spool
from pipe.errors import BadRequest, Bomb, TooLarge, Undecodable, WrongMediaType

SMALL = 64 * 1024
"""bytes up to which a body is read in one go"""
_RATIO = 100
_PIECE = 64 * 1024
_GZIP = {"gzip", "x-gzip"}


class Spools(Protocol):
    """Where bodies too large for memory go; the gateway's Services are one."""

    def spool(self, limit: int) -> Spool:
        """A place for one body of at most `limit` bytes."""


async def read_body(
    request: web.Request, limit: int, spools: Spools, observe: Callable[[bytes], None] | None = None
) -> bytes | Blob:
    """The body, unpacked; `observe` sees the bytes as they were sent.

    Raises TooLarge, Bomb, WrongMediaType (an encoding that is not taken), Undecodable (it does not unpack), BadRequest.
    """
    headers = request.headers
    length = request.content_length
    if length is not None and length > limit:
        raise TooLarge(f"the body has {length} bytes, the limit is {limit}")
    unpack = _unpacker(", ".join(headers.getall("Content-Encoding"))) if "Content-Encoding" in headers else None
    if "Expect" in headers:
        await _invite(request)
    if unpack is None and length is not None and length <= SMALL:
        content = request.content
        body = content.read_nowait() if content.is_eof() else await request.read()
        if observe is not None:
            observe(body)
        return body
    return await _spooled(request, spools.spool(limit), unpack, observe)


async def _spooled(
    request: web.Request, spool: Spool, unpack: Unpacker | None, observe: Callable[[bytes], None] | None
) -> bytes | Blob:
    try:
        while piece := await request.content.readany():
            if observe is not None:
                observe(piece)
            if unpack is None:
                await spool.write(piece)
            else:
                for unpacked in unpack.feed(piece):
                    await spool.write(unpacked)
        if unpack is not None:
            unpack.finish()
        return await spool.finish()
    except BaseException:
        spool.discard()
        raise


async def _invite(request: web.Request) -> None:
    """Tells a client that waits for it to send its body."""
    if request.headers["Expect"].lower() != "100-continue":
        raise BadRequest("`Expect` may only be `100-continue`")
    if request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp's own router does: the answer has not begun


class Unpacker:
    """One layer of gzip or deflate, unpacked in pieces; whoever takes them counts them against the limit."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._taken = 0
        self._given = 0
        self._inflate: zlib._Decompress | None = None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What the piece unpacks to. Raises Bomb and Undecodable."""
        self._taken += len(piece)
        while True:
            if self._inflate is None or (self._inflate.eof and self._encoding in _GZIP):
                self._inflate = self._started(piece)
            try:
                unpacked = self._inflate.decompress(piece, _PIECE)
            except zlib.error:
                raise Undecodable(f"the body is not {self._encoding}") from None
            self._count(len(unpacked))
            if unpacked:
                yield unpacked
            if self._inflate.eof:
                piece = self._inflate.unused_data
                if piece and self._encoding not in _GZIP:
                    raise Undecodable(f"something follows the end of the {self._encoding} data")
            else:
                piece = self._inflate.unconsumed_tail
            if not piece and (self._inflate.eof or len(unpacked) < _PIECE):
                return

    def finish(self) -> None:
        """Raises Undecodable where the packed data broke off."""
        if self._inflate is None or not self._inflate.eof:
            raise Undecodable(f"the {self._encoding} data breaks off")

    def _count(self, given: int) -> None:
        self._given += given
        if self._given > SMALL and self._given > _RATIO * self._taken:
            raise Bomb(f"the body unpacks to more than {_RATIO} times its size")

    def _started(self, piece: bytes) -> zlib._Decompress:
        if self._encoding in _GZIP:
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        wrapped = piece[0] & 0x0F == 8 and piece[0] >> 4 <= 7
        return zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _unpacker(encoding: str) -> Unpacker | None:
    named = encoding.strip().lower()
    if named in {"", "identity"}:
        return None
    if named not in {*_GZIP, "deflate"}:
        raise WrongMediaType(f"Content-Encoding `{encoding[:64]}` is not taken")
    return Unpacker(named)
