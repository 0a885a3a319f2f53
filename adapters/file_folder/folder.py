"""The adapter of a folder of this machine: every operation in a thread, none of them outside the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo

from adapters.file_folder.confined import Confined
from adapters.files.adapter import FileAdapter
from adapters.files.examining import rights
from adapters.files.keys import FilesConfig
from adapters.files.remote import Entry, Missing, Remote, Segments, Taken
from pipe import blocking
from pipe.contract import ConnectionConfig, Rung, Services, Timeout, path_beside
from pipe.errors import BadHeader, NotAuthorised, PeerFailed, PipeError, Refused, Unreachable
from pipe.write_back import WriteBack

R = TypeVar("R")
AT_ONCE = 2 << 20
"""bytes that are read by one call in a thread: each call costs as much as some hundred KiB"""
PIECES = 4
"""how many are written by one call"""
SYNCS = 10
"""times the longest silence, until a large file is on the disk"""


def _located(value: Any, info: ValidationInfo) -> Any:
    return path_beside(info, value) if isinstance(value, str) else value


class FolderConfig(FilesConfig):
    """A folder of this machine, or one that is mounted there."""

    type: Literal["file_folder"] = "file_folder"
    path: Annotated[Path, BeforeValidator(_located)] = Field(
        description="The folder; nothing outside it is ever touched.", examples=["exchange/bank"]
    )


class FileFolder(FileAdapter):
    """Source and sink over a folder."""

    Config: ClassVar[type[ConnectionConfig]] = FolderConfig

    def __init__(self, name: str, config: FolderConfig, services: Services) -> None:
        super().__init__(name, config, services)
        self._files = Confined(config.path)

    async def open(self) -> None:
        """Raises Unreachable where the folder is not there."""
        await super().open()
        async with self._sessions.one(self.patience) as remote:
            await remote.alive()

    async def _dial(self, timeout: Timeout) -> Remote:
        return Folder(self._files, self.name, self._pool, timeout.read)

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The folder, those of the routes, and whether we may write there. Nothing is written."""
        folder = Folder(self._files, self.name, f"{self._pool} doctor", self.patience.read)
        try:
            await folder.alive()
            yield Rung("folder", "ok", f"{self._files.root} is there and may be read and written")
            async for rung in rights(folder, uses, folder.told):
                yield rung
        except PipeError as error:
            yield Rung("folder", "fail", error.text, error.hint)
        finally:
            blocking.close(f"{self._pool} doctor")


class Folder:
    """The folder as a session, which it needs none of."""

    guards: ClassVar[bool] = True
    resumes: ClassVar[bool] = False
    unsure: ClassVar[int] = 0
    usable = True
    strange = 0

    def __init__(self, files: Confined, name: str, pool: str, seconds: float) -> None:
        self._files, self._name, self._pool, self._seconds = files, name, pool, seconds

    async def entries(self, at: Segments) -> list[Entry]:
        """See Remote."""
        return await self._do(self._files.entries, at)

    async def find(self, at: Segments) -> Entry | None:
        """See Remote."""
        return await self._do(self._files.find, at)

    async def exact(self, entry: Entry) -> Entry:
        """See Remote."""
        return entry

    async def read(self, at: Segments, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """See Remote."""
        file = await self._do(self._files.open, at)
        try:
            while piece := await self._do(file.read, AT_ONCE):
                yield piece
        finally:
            file.close()

    async def write(self, at: Segments, pieces: AsyncIterator[bytes], offset: int = 0) -> None:
        """See Remote; it is on disk when this returns."""
        file = await self._do(self._files.create, at)
        try:
            waiting: list[bytes] = []
            back = WriteBack(file.fileno())
            async for piece in pieces:
                waiting.append(piece)
                if len(waiting) == PIECES:
                    await self._do(_write_all, file, waiting, back)
                    waiting = []
            await self._do(_write_all, file, waiting, back)
            await self._do(_synced, file, patience=SYNCS)
        finally:
            file.close()

    async def move(self, source: Segments, target: Segments, *, strict: bool = False) -> None:
        """See Remote."""
        if strict and await self._do(self._files.link, source, target):
            return
        await self._do(self._files.move, source, target)

    async def replace(self, source: Segments, target: Segments) -> None:
        """See Remote."""
        await self._do(self._files.replace, source, target)

    async def delete(self, at: Segments) -> None:
        """See Remote."""
        await self._do(self._files.delete, at)

    async def make(self, at: Segments) -> bool:
        """See Remote."""
        return await self._do(self._files.make, at)

    async def unmake(self, at: Segments) -> None:
        """See Remote."""
        await self._do(self._files.unmake, at)

    async def alive(self) -> None:
        """Looks whether the folder is there and may be used."""
        await self._do(self._look)

    def _look(self) -> None:
        with self._files.folder(()):
            if not os.access(self._files.root, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "may not be read and written", str(self._files.root))

    async def told(self, at: Segments) -> Rung | None:
        """Whether files there may be renamed, for doctor. Raises Missing, NotAuthorised."""
        return await self._do(self._may, at)

    def _may(self, at: Segments) -> Rung:
        where = "/".join(at) or "the folder"
        with self._files.folder(at) as here:
            if os.access(f"/proc/self/fd/{here}", os.W_OK | os.X_OK):
                return Rung("rename", "ok", f"in {where} files may be made and renamed")
        return Rung("rename", "fail", f"in {where} nothing may be made or renamed", "give the gateway's user the right")

    async def close(self) -> None:
        """Nothing to say goodbye to."""

    def drop(self) -> None:
        """Nothing to end."""

    async def _do(self, function: Callable[..., R], *arguments: object, patience: float = 1) -> R:
        """Calls a blocking function in a thread and says what its OSError means."""
        seconds = self._seconds * patience
        try:
            return await blocking.run(self._pool, function, *arguments, timeout=seconds)
        except TimeoutError as error:  # an OSError too, so it stands before it
            raise PeerFailed(f"{self._name} did not answer within {seconds:g} s") from error
        except FileExistsError as error:
            raise Taken(str(error.filename or error)) from error
        except FileNotFoundError as error:
            raise Missing(str(error.filename or error)) from error
        except OSError as error:
            raise meaning(error, self._name) from error


def _write_all(file: FileIO, pieces: list[bytes], back: WriteBack) -> None:
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            rest = rest[file.write(rest) :]
        back.wrote(len(piece))


def _synced(file: FileIO) -> None:
    os.fsync(file.fileno())


def meaning(error: OSError, name: str) -> PipeError:
    """What an OSError says about the folder, the message, or the moment."""
    text = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
    if error.errno in {errno.ENAMETOOLONG, errno.EILSEQ}:
        return BadHeader(f"the file's name does not fit the file system: {text}")
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EINVAL}:
        return Refused(f"the path leads over a link, or over something that is not a folder: {text}")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return NotAuthorised(f"{name} may not be used by this user: {text}")
    if error.errno == errno.EXDEV:
        hint = "another disk is mounted within the folder: give it a connection of its own"
        return PeerFailed(f"files of {name} cannot be renamed from there to there: {text}", hint=hint)
    if error.errno == errno.ENODEV:
        return Unreachable(f"{name} is not there: {text}")
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return PeerFailed(f"{name} is full: {text}", hint="make space there; it is retried")
    return PeerFailed(f"{name} failed: {text}")
