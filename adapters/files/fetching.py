"""Brings a file over, and on with what a broken session had brought of it."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
from contextlib import aclosing
from dataclasses import dataclass

from adapters.files.remote import CannotResume, Entry, Missing, Remote
from pipe.contract import Arrival, Blob, Door, Services, Spool, Timeout
from pipe.errors import PeerError, Refused, Unreachable

PIECE = 1 << 20
"""bytes that are handed to the spool at once: each call of a thread costs as much as some hundred KiB"""


@dataclass(slots=True)
class Partial:
    """What of a file has come before the session broke."""

    file: Entry
    spool: Spool
    size: int


class Fetcher:
    """The downloads of one connection; it remembers one half file for each route."""

    def __init__(self, timeout: Timeout, services: Services) -> None:
        self._timeout, self._services = timeout, services
        self._partial: dict[str, Partial] = {}

    def close(self) -> None:
        """Forgets what was half received. Safe twice."""
        while self._partial:
            self._partial.popitem()[1].spool.discard()

    async def arrival(self, remote: Remote, door: Door, file: Entry, named: Entry) -> Arrival | None:
        """The file as an arrival that is called `named`; None where it changed while it was read, or is gone.

        Raises TooLarge, a StoreError where the disk does not take it, and the PeerError of a session that broke.
        """
        spool, size = await self._received(remote, door, file)
        if spool is None:
            return None
        try:
            state = await remote.find(file.at)
        except BaseException:
            spool.discard()
            raise
        if state is None or (size, state.size, state.modified) != (file.size, file.size, file.modified):
            spool.discard()
            return None
        body = await spool.finish()
        digest = body.sha256 if isinstance(body, Blob) else hashlib.sha256(body).hexdigest()
        about = {"file_name": named.path.rpartition("/")[2], "file_path": named.path, "size": str(size)}
        return Arrival(
            body=body,
            headers=about,
            params=about,
            content_type=mimetypes.guess_type(about["file_name"])[0],
            identity=f"{named.path}:{size}:{file.modified}:{digest}",
        )

    async def _received(self, remote: Remote, door: Door, file: Entry) -> tuple[Spool | None, int]:
        """All bytes of the file; what a broken session had brought of the same file is not fetched again."""
        partial = self._partial.pop(door.route, None)
        if partial is not None and partial.file != file:
            partial.spool.discard()
            partial = None
        partial = partial or Partial(file, self._services.spool(door.max_body), 0)
        try:
            await self._fetched(remote, partial)
        except (Missing, CannotResume):
            partial.spool.discard()
            return None, 0
        except PeerError as error:
            if remote.resumes and partial.size and not isinstance(error, Refused):
                self._partial[door.route] = partial
            else:
                partial.spool.discard()
            raise
        except BaseException:
            partial.spool.discard()
            raise
        return partial.spool, partial.size

    async def _fetched(self, remote: Remote, partial: Partial) -> None:
        waiting: list[bytes] = []
        held = 0
        # Looked at between pieces: a write to disk that is cancelled would leave nobody sure of what is there.
        ends = asyncio.get_running_loop().time() + self._timeout.total

        async def write() -> None:
            nonlocal held
            if waiting:
                await partial.spool.write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
                partial.size += held
                waiting.clear()
                held = 0

        try:
            async with aclosing(remote.read(partial.file.at, partial.size)) as pieces:
                async for piece in pieces:
                    waiting.append(piece)
                    held += len(piece)
                    if held >= PIECE:
                        await write()
                    if asyncio.get_running_loop().time() > ends:
                        raise self._slow(partial.file)
        except PeerError:
            await write()
            raise
        await write()
        wanted = partial.file.size
        if partial.size < wanted and (now := await remote.find(partial.file.at)) is not None and now.size == wanted:
            raise Unreachable(f"{partial.file.path} ended after {partial.size} of {wanted} bytes")

    def _slow(self, file: Entry) -> Unreachable:
        return Unreachable(
            f"{file.path} of {file.size} bytes did not come within {self._timeout.total:g} s",
            hint="the rest is fetched next; raise `timeout: {total: …}` where files are so large, or the way so slow",
        )
