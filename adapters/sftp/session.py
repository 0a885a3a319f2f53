"""One session with an SFTP server, as adapters.files wants it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, TypeVar

import asyncssh

from adapters.files.names import named
from adapters.files.remote import CannotResume, Entry, Missing, Segments, Taken, shown
from pipe.errors import BadHeader, NoAnswer, NotAuthorised, PeerFailed, PipeError, Refused, Unreachable

R = TypeVar("R")
PIECE = 1 << 21
"""bytes that are sent at once; asyncssh divides them into requests that are under way together"""
BLOCK, AHEAD = 1 << 19, 4
"""bytes that are asked for at once, and how many such questions are under way"""
_FULL = (asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded)
_MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory)
_LOST = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.SFTPEOFError)
_REFUSED = (
    asyncssh.SFTPOpUnsupported, asyncssh.SFTPInvalidFilename, asyncssh.SFTPFileIsADirectory, asyncssh.SFTPLinkLoop,
    asyncssh.SFTPInvalidParameter,
)  # fmt: skip
NANO = 10**9
SYNCS = 10
"""times the longest silence, until a large file is on the server's disk"""


class SftpSession:
    """Signed in, in the connection's folder."""

    guards: ClassVar[bool] = False  # the protocol forbids a rename to replace a file, and some servers do it
    resumes: ClassVar[bool] = True
    unsure: ClassVar[int] = PIECE  # some servers write in another order than they are asked to

    def __init__(self, connection: asyncssh.SSHClientConnection, where: str, charset: str, seconds: float) -> None:
        self.usable, self.strange = True, 0
        self.connection = connection
        self._where, self._charset, self._seconds = where, charset, seconds
        self.base = b""

    async def begin(self, folder: str) -> None:
        """Starts SFTP and goes to the folder. Raises Unreachable, Refused."""
        with self._asking():
            try:
                async with asyncio.timeout(self._seconds):
                    # Bytes in, bytes out: what they mean is the charset's business.
                    self._sftp = await self.connection.start_sftp_client(path_encoding=None)
            except asyncssh.ChannelOpenError as error:
                raise Refused(f"{self._where} lets us in but does not offer SFTP: {error}") from error
        home = await self._do(self._sftp.realpath(b"."))
        self.base = self._said(folder) if folder.startswith("/") else home.rstrip(b"/") + b"/" + self._said(folder)
        self.base = self.base.rstrip(b"/")
        try:
            attributes = await self._do(self._sftp.stat(self.base or b"/"))
        except Missing as error:
            attributes = None
            problem: object = error
        else:
            problem = "it is no folder"
        if attributes is None or attributes.type != asyncssh.FILEXFER_TYPE_DIRECTORY:
            raise Unreachable(f"{self._where}: the folder {self.root} cannot be entered: {problem}")

    @property
    def root(self) -> str:
        """The folder, for people."""
        return self.base.decode(self._charset, "replace") or "/"

    # --- looking

    async def entries(self, at: Segments) -> list[Entry]:
        """See Remote."""
        found: list[Entry] = []
        with self._asking():
            names = aiter(self._sftp.scandir(self._path(at)))
            while True:
                try:
                    async with asyncio.timeout(self._seconds):
                        each = await anext(names)
                except StopAsyncIteration:
                    break
                entry = self._entry(at, each)
                if entry is not None:
                    found.append(entry)
        return found

    def _entry(self, at: Segments, each: asyncssh.SFTPName) -> Entry | None:
        raw = each.filename if isinstance(each.filename, bytes) else each.filename.encode()
        if raw in {b".", b".."}:
            return None
        name = raw.decode(self._charset, "surrogateescape")
        if not named(name):
            self.strange += 1
            return None
        return _entry((*at, name), each.attrs)

    async def find(self, at: Segments) -> Entry | None:
        """See Remote."""
        try:
            attributes = await self._do(self._sftp.lstat(self._path(at)))
        except Missing:
            return None
        return _entry(at, attributes) or Entry(at)

    async def exact(self, entry: Entry) -> Entry:
        """See Remote."""
        return entry

    # --- carrying

    async def read(self, at: Segments, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """See Remote; some pieces ahead of whoever takes them."""
        with self._asking():
            file = await self._within(self._sftp.open(self._path(at), "rb"))
            ahead: deque[asyncio.Future[bytes]] = deque()
            try:
                one = min(file.read_len or BLOCK, BLOCK)
                block, ends = BLOCK // one * one, 0  # whole requests
                with suppress(asyncssh.SFTPError):  # a server that does not tell is asked step by step
                    ends = (await self._within(file.stat())).size or 0
                asked = offset
                while True:
                    while len(ahead) < AHEAD and asked < ends:
                        # Never beyond the end: the library loses the answers to what lies there.
                        ahead.append(self._begun(self._part, file, min(block, ends - asked), asked))
                        asked += min(block, ends - asked)
                    piece = await (ahead.popleft() if ahead else self._begun(self._part, file, one, offset))
                    if not piece:
                        break
                    offset += len(piece)
                    if len(piece) < block and offset < ends:  # it has been cut meanwhile, or the server gives less
                        await _over(ahead)
                        asked = offset
                    yield piece
            finally:
                await _over(ahead)
                await self._closed(file)

    @staticmethod
    async def _part(file: asyncssh.SFTPClientFile, size: int, offset: int) -> bytes:
        piece = await file.read(size, offset)
        return piece if isinstance(piece, bytes) else piece.encode()

    async def write(self, at: Segments, pieces: AsyncIterator[bytes], offset: int = 0) -> None:
        """See Remote; on the server's disk when this returns, where the server can say so."""
        with self._asking():
            file = await self._within(self._sftp.open(self._path(at), "r+b" if offset else "wb"))
            under_way: asyncio.Future[object] | None = None
            try:
                async for block in _blocks(pieces):
                    if under_way is not None:
                        await under_way
                    under_way = self._begun(file.write, block, offset)
                    offset += len(block)
                if under_way is not None:
                    await under_way
                with suppress(asyncssh.SFTPOpUnsupported):
                    async with asyncio.timeout(self._seconds * SYNCS):
                        await file.fsync()
            finally:
                await _over(deque([under_way] if under_way is not None else []))
                await self._closed(file)

    def _begun(self, ask: Callable[..., Awaitable[R]], *arguments: Any) -> asyncio.Future[R]:
        """Under way while something else is done."""

        async def asked() -> R:
            return await self._within(ask(*arguments))

        return asyncio.ensure_future(asked())

    async def _closed(self, file: asyncssh.SFTPClientFile) -> None:
        with suppress(asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, TimeoutError):
            await self._within(file.close())

    # --- changing

    async def move(self, source: Segments, target: Segments, *, strict: bool = False) -> None:
        """See Remote."""
        try:
            await self._do(self._sftp.rename(self._path(source), self._path(target)))
        except PeerFailed as error:
            # Version 3 of the protocol, which everybody speaks, has no word for it but "failure".
            if isinstance(error.__cause__, asyncssh.SFTPFailure) and await self.find(target) is not None:
                raise Taken(error.text) from error
            raise

    async def replace(self, source: Segments, target: Segments) -> None:
        """See Remote. A server without `posix-rename` has none of that name for a moment."""
        try:
            await self._do(self._sftp.posix_rename(self._path(source), self._path(target)))
        except Refused as error:
            if not isinstance(error.__cause__, asyncssh.SFTPOpUnsupported):
                raise
            await self.delete(target)
            await self.move(source, target)
        except Unreachable as error:
            raise NoAnswer(f"{error.text}; it may have been renamed to {shown(target)}") from error

    async def delete(self, at: Segments) -> None:
        """See Remote."""
        with suppress(Missing):
            await self._do(self._sftp.remove(self._path(at)))

    async def make(self, at: Segments) -> bool:
        """See Remote."""
        found = await self.find(at)
        if found is not None and found.kind == "folder":
            return False
        for depth in range(1, len(at) + 1):
            if await self.find(at[:depth]) is None:
                with suppress(Taken):
                    await self._made(at[:depth])
        return True

    async def _made(self, at: Segments) -> None:
        try:
            await self._do(self._sftp.mkdir(self._path(at)))
        except PeerFailed:
            if await self.find(at) is None:
                raise

    async def unmake(self, at: Segments) -> None:
        """See Remote."""
        with suppress(Missing, NotAuthorised, PeerFailed):  # "failure" is all that servers say of it
            await self._do(self._sftp.rmdir(self._path(at)))

    async def writable(self, at: Segments) -> bool | None:
        """Whether the folder's permissions let anybody write; None where the server does not show them."""
        attributes = await self._do(self._sftp.stat(self._path(at)))
        return None if attributes.permissions is None else bool(attributes.permissions & 0o222)

    async def renames(self, at: Segments) -> None:
        """Asks for a rename of what is not there: a server for reading only refuses it. Raises NotAuthorised."""
        name = ".pipe-doctor-looks-for-nothing"
        with suppress(Missing, PeerFailed):
            await self.move((*at, name), (*at, f"{name}-twice"))

    # --- the session itself

    async def alive(self) -> None:
        """See Remote."""
        await self._do(self._sftp.stat(self.base or b"/"))

    async def close(self) -> None:
        """See Remote."""
        self.usable = False
        self.connection.close()
        try:
            async with asyncio.timeout(1):
                await self.connection.wait_closed()
        except (TimeoutError, OSError):
            self.drop()

    def drop(self) -> None:
        """See Remote."""
        self.usable = False
        self.connection.abort()

    def _path(self, at: Segments) -> bytes:
        return self.base + b"/" + self._said("/".join(at)) if at else self.base or b"/"

    def _said(self, text: str) -> bytes:
        if "\0" in text:
            raise BadHeader(f"{text[:80]!r} holds a sign that SFTP cannot carry")
        try:
            return text.encode(self._charset, "surrogateescape")
        except UnicodeEncodeError as error:
            raise BadHeader(
                f"{text[:80]!r} cannot be written in {self._charset}, the charset of this server"
            ) from error

    async def _within(self, asked: Awaitable[R]) -> R:
        async with asyncio.timeout(self._seconds):
            return await asked

    async def _do(self, asked: Awaitable[R]) -> R:
        with self._asking():
            return await self._within(asked)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What the server's refusals mean; only where it answered, the session is as good as before."""
        try:
            yield
        except (*_LOST, asyncssh.DisconnectError, ConnectionError, EOFError) as error:
            self.usable = False
            raise Unreachable(f"{self._where} ended the connection: {error}") from error
        except TimeoutError as error:
            self.usable = False
            raise Unreachable(f"{self._where} said nothing for {self._seconds:g} s") from error
        except asyncssh.SFTPError as error:
            raise self._meaning(error) from error
        except (PipeError, Missing, Taken, CannotResume):
            raise
        except BaseException:
            self.usable = False
            raise

    def _meaning(self, error: asyncssh.SFTPError) -> Exception:
        said = f"{self._where}: {error.reason or type(error).__name__}"
        if isinstance(error, _MISSING):
            return Missing(error.reason)
        if isinstance(error, asyncssh.SFTPFileAlreadyExists):
            return Taken(error.reason)
        if isinstance(error, (asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.SFTPCannotDelete)):
            return NotAuthorised(said, hint="ask the partner to give this user the right; its messages wait")
        if isinstance(error, _FULL):
            hint = "ask the partner for space; it is retried"
            return PeerFailed(f"{said} (its disk, or our quota there, is full)", hint=hint)
        if isinstance(error, _REFUSED):
            return Refused(said)
        return PeerFailed(said)


async def _blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of PIECE or a little more; the last one is what is left."""
    waiting: list[bytes] = []
    size = 0
    async for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)


async def _over(asked: deque[asyncio.Future[R]]) -> None:
    """Nobody wants these answers any more."""
    while asked:
        each = asked.pop()
        each.cancel()
        await asyncio.wait([each])
        if not each.cancelled():
            each.exception()


def _entry(at: Segments, attributes: asyncssh.SFTPAttrs) -> Entry | None:
    if attributes.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
        return Entry(at, kind="folder")
    if attributes.type not in {asyncssh.FILEXFER_TYPE_REGULAR, asyncssh.FILEXFER_TYPE_UNKNOWN}:
        return None
    modified = (attributes.mtime or 0) * NANO + (attributes.mtime_ns or 0)
    return Entry(at, attributes.size or 0, modified)
