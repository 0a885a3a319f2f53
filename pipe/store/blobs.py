"""Bodies too large for a row: sealed files, synced with their folder before the commit that names them."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipe.contract import Blob
from pipe.errors import StoreError, StoreFull, StoreUnavailable, TooLarge
from pipe.sealed_file import SealedWriter, new_key

IN_MEMORY = 1 << 20
AT_ONCE = 1 << 18
"""bytes that are handed to the threads together: fewer cost time, more cost memory for each of many callers"""


class BlobSpool:
    """Collects a body: up to 1 MiB in memory, then in a file that only the row which names it can open."""

    def __init__(self, folder: Path, name: str, limit: int) -> None:
        self._path, self._limit = folder / name, limit
        self._pieces: list[bytes] = []
        """what no thread has taken yet"""
        self._waiting = 0
        """bytes of these"""
        self._key = new_key()
        self._file: SealedWriter | None = None
        self._hash = hashlib.sha256()
        self._size = 0
        self._under_way: list[asyncio.Future[None]] = []
        """what threads do with the last pieces, while whoever brings the next ones fetches them"""

    async def write(self, piece: bytes) -> None:
        """Takes the next piece. Raises TooLarge past the limit, a StoreError where the disk does not take it."""
        self._size += len(piece)
        if self._size > self._limit:
            self.discard()
            raise TooLarge(f"the body is larger than {self._limit} bytes")
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting > (IN_MEMORY if self._file is None else AT_ONCE):
            await self._hand_over()

    async def finish(self) -> bytes | Blob:
        """The whole body; what went to disk is synced. Raises a StoreError where it could not be."""
        if self._file is None:
            return b"".join(self._pieces)
        try:
            await self._hand_over()
            await self._settled()
            self._begin(self._sync)
            await self._settled()
        except StoreError:
            self.discard()
            raise
        return Blob(self._path, self._size, self._hash.hexdigest(), self._key)

    def discard(self) -> None:
        """Removes what was written."""
        self._pieces.clear()
        for each in self._under_way:
            each.cancel()
        self._under_way.clear()
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take, closing would try to write again
                self._file.file.close()
            self._file = None
            self._path.unlink(missing_ok=True)

    async def _hand_over(self) -> None:
        """Has two threads seal and hash what has come, while the next pieces are on their way."""
        await self._settled()
        if self._file is None:
            self._begin(self._create)
            await self._settled()
        # One piece for both: after each of many small ones a thread would have to wait for the interpreter.
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._waiting = [], 0
        self._begin(self._append, data)
        self._begin(self._hash.update, data)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        self._under_way.append(asyncio.get_running_loop().run_in_executor(None, work, *arguments))

    async def _settled(self) -> None:
        """Returns when the threads are done. Raises a StoreError where the disk did not take it."""
        under_way, self._under_way = self._under_way, []
        if under_way:
            try:
                await asyncio.gather(*under_way)
            except OSError as error:
                raise _refusal(error) from error

    def _create(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = SealedWriter(self._path, self._key)

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)

    def _sync(self) -> None:
        assert self._file is not None
        self._file.finish()
        self._file.file.close()
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _refusal(error: OSError) -> StoreError:
    """A caller whose body could not be kept hears of the disk, not of a defect."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"a large body finds no space: {error.strerror}", retry_after=30)
    return StoreUnavailable(f"a large body cannot be written: {error.strerror}", retry_after=5)


def sweep(folder: Path, known: set[str], older_than: float) -> int:
    """Removes files that no row names and that are older than `older_than` (seconds since 1970); returns how many."""
    removed = 0
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # somebody was quicker
            if path.name not in known and path.is_file() and path.stat().st_mtime < older_than:
                path.unlink()
                removed += 1
    return removed
