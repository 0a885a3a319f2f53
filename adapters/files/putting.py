"""Puts a message down as a file: under a temporary name until it is whole, then renamed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, suppress
from itertools import islice

from adapters.files.names import OURS, filled
from adapters.files.remote import CannotResume, Missing, Remote, Segments, Taken, shown
from pipe import blocking
from pipe.contract import Blob, Outgoing, Receipt
from pipe.errors import BadHeader, NoAnswer, PeerFailed, PipeError, Refused, Unreachable

PIECE = 1 << 19
AHEAD = 8
"""pieces of a large body that are read at once"""
LARGE = 1 << 20
"""bytes from which a first attempt too looks for what a gateway that was killed has left"""


class Body:
    """What is to be written, from any place on, as often as needed."""

    def __init__(self, body: bytes | Blob, pool: str) -> None:
        self.size = body.size if isinstance(body, Blob) else len(body)
        self.sha256 = body.sha256 if isinstance(body, Blob) else hashlib.sha256(body).hexdigest()
        self._body, self._pool = body, pool

    async def pieces(self, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """The bytes from there on. A large body is read in a thread, ahead of whoever takes them."""
        if not isinstance(self._body, Blob):
            for at in range(offset, self.size, PIECE):
                yield self._body[at : at + PIECE]
            return
        source = self._read(self._body, offset)
        ahead = self._ahead(source)
        try:
            while pieces := await asyncio.shield(ahead):
                ahead = self._ahead(source)
                for piece in pieces:
                    yield piece
        finally:
            await asyncio.wait([ahead])  # nobody may close what a thread still reads
            source.close()

    def _ahead(self, source: Iterator[bytes]) -> asyncio.Future[list[bytes]]:
        return asyncio.ensure_future(blocking.run(self._pool, lambda: list(islice(source, AHEAD))))

    @staticmethod
    def _read(body: Blob, offset: int) -> Generator[bytes, None, None]:
        if not offset:
            yield from body.open()
            return
        with body.file() as file:
            file.seek(offset)
            while piece := file.read(PIECE):
                yield piece


async def put(remote: Remote, outgoing: Outgoing, work: str, pool: str) -> Receipt:
    """Puts one file there; a reader sees all of it or nothing. Safe to repeat: a broken upload is gone on with.

    Raises BadHeader for a name that data must not make, Refused where another file is in the way, and what the server
    is to blame for.
    """
    target = outgoing.target
    at = filled(target.put, outgoing.data, OURS | {work})
    body = Body(outgoing.message.body or b"", pool)
    # With the content in its name: what an attempt with another body has left is never gone on with.
    part = (*at[:-1], f".{outgoing.id}.{body.sha256[:12]}.part")
    try:
        await _uploaded(remote, part, body, again=outgoing.attempt > 1 or body.size > LARGE)
        await _named(remote, part, at, body, replace=target.exists == "replace")
    except (Missing, Taken, CannotResume) as error:
        await _cleared(remote, part)
        raise Refused(f"{shown(at)} cannot be put there: {error}") from error
    except BaseException as error:
        if not (remote.resumes and isinstance(error, (Unreachable, NoAnswer, asyncio.CancelledError))):
            await _cleared(remote, part)
        raise
    return Receipt("stored", {"file_path": shown(at)}, {"path": shown(at), "size": body.size})


async def _uploaded(remote: Remote, part: Segments, body: Body, *, again: bool) -> None:
    offset = 0
    if again and remote.resumes and (left := await remote.find(part)) is not None and left.size <= body.size:
        offset = max(0, left.size - remote.unsure)
    if not offset or offset < body.size:
        await _written(remote, part, body, offset)
    kept = await remote.find(part)
    if kept is not None and kept.size != body.size:
        raise PeerFailed(f"the partner kept {kept.size} of {body.size} bytes")


async def _written(remote: Remote, part: Segments, body: Body, offset: int) -> None:
    made = False
    while True:
        try:
            async with aclosing(body.pieces(offset)) as pieces:
                await remote.write(part, pieces, offset)
        except CannotResume:
            if not offset:
                raise
            await remote.delete(part)
            offset = 0
        except Missing as error:
            if made or not part[:-1]:
                raise Refused(f"{shown(part[:-1]) or 'the folder'} does not take a file: {error}") from error
            await remote.make(part[:-1])  # another attempt may have been quicker
            made = True
        else:
            return


async def _named(remote: Remote, part: Segments, at: Segments, body: Body, *, replace: bool) -> None:
    if replace:
        await remote.replace(part, at)
        return
    try:
        if not remote.guards and await remote.find(at) is not None:
            raise Taken(f"{shown(at)} is there")
        await remote.move(part, at, strict=True)
    except Taken:
        same = await _holds(remote, at, body)
        await remote.delete(part)
        if not same:
            raise Refused(f"{shown(at)} is there already, with other content") from None


async def _holds(remote: Remote, at: Segments, body: Body) -> bool:
    """Whether that file has the very bytes: then an earlier attempt of ours put it there."""
    found = await remote.find(at)
    if found is None or found.size != body.size:
        return False
    digest = hashlib.sha256()
    async with aclosing(remote.read(at)) as pieces:
        async for piece in pieces:
            digest.update(piece)
    return digest.hexdigest() == body.sha256


async def _cleared(remote: Remote, part: Segments) -> None:
    """Takes half a file away, where the session still lets us; the error that led here is told, not this one."""
    if remote.usable:
        with suppress(PipeError, Missing, BadHeader):
            await remote.delete(part)
