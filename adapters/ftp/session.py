"""One session with an FTP server, as adapters.files wants it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from aioftp import AIOFTPException, StatusCodeError

from adapters.files.names import named
from adapters.files.remote import CannotResume, Entry, Missing, Segments, Taken, shown
from adapters.ftp import listing
from adapters.ftp.answers import is_there, meaning, no_right
from adapters.ftp.config import Mode
from adapters.ftp.wire import Wire
from adapters.http_network import TlsFiles
from pipe.errors import BadHeader, NoAnswer, NotAuthorised, PeerError, ReplyInvalid, Unreachable

PIECE = 1 << 18
MOST = 200_000
"""names of one listing"""
_SIGN_IN = ("331", "332")
_FACTS = ("TYPE", "SIZE", "MODIFY")
_GONE = ("450", "550", "553", "501", "504")
"""what servers say of a name that is not there, or that may not be seen"""


class FtpSession:
    """Signed in, in the connection's folder. Paths are sent from the root: a name can begin with any sign."""

    guards: ClassVar[bool] = False
    resumes: ClassVar[bool] = True
    unsure: ClassVar[int] = 0

    def __init__(self, wire: Wire, where: str, charset: str, seconds: float) -> None:
        self.usable, self.strange = True, 0
        self._seconds, self._doubles = seconds, False
        self._wire, self._where, self._charset = wire, where, charset
        self._features: frozenset[str] = frozenset()
        self._facts = False
        self._list = "LIST"
        self.base = ""

    # --- signing in

    async def greet(self, sock: socket.socket, mode: Mode, tls: TlsFiles | None) -> None:
        """Hears the greeting over a connected socket, TLS included. Raises Unreachable, TlsFailed, Busy."""
        with self._asking():
            await self._wire.greet(sock, tls if mode == "implicit" else None)
        if tls is not None and mode == "explicit":
            with self._asking():
                await self._wire.secure(tls)

    @property
    def secured(self) -> Any:
        """Asyncio's `ssl_object`; None where the way is plain."""
        return self._wire.secured

    async def sign_in(self, user: str, password: str | None, folder: str) -> None:
        """User and password, what the server can, and the folder. Raises NotAuthorised, Unreachable."""
        with self._asking():
            await self._wire.login(self._said(user), self._said(password or ""))
        if self.secured is not None:
            with self._asking():
                await self._wire.protect()
        features = await self._answer("FEAT", "211", may_fail=True)
        self._features = frozenset(line.strip().upper() for line in features)
        await self._ask_for_facts()
        await self._answer("TYPE I", "200")  # many know no SIZE before it
        if self._charset.replace("-", "").lower() == "utf8" and self._can("UTF8"):
            await self._answer("OPTS UTF8 ON", "2xx", may_fail=True)
        if not self._facts:
            system = await self._answer("SYST", "215", may_fail=True)
            self._list = "LIST -a" if any("UNIX" in line.upper() for line in system) else "LIST"
        if self._charset.replace("-", "").lower() != "utf8":
            await self._learn_doubling()
        home = _quoted(" ".join(await self._answer("PWD", "257")))
        self.base = folder if folder.startswith("/") else f"{home.rstrip('/')}/{folder}".rstrip("/")
        try:
            await self._command(f"CWD {self._wire_path(())}", "250")
        except Missing as error:
            raise Unreachable(f"{self._where}: the folder {self.base or '/'} cannot be entered: {error}") from error

    async def _ask_for_facts(self) -> None:
        """Whether MLSD and MLST tell kind, size and time of a name; a fact without `*` is told only when asked for."""
        told = next((line.partition(" ")[2] for line in self._features if line.split(" ")[0] == "MLST"), "")
        facts = [fact.strip() for fact in told.split(";") if fact.strip()]
        self._facts = set(_FACTS) <= {fact.rstrip("*") for fact in facts}
        if self._facts and not {f"{fact}*" for fact in _FACTS} <= set(facts):
            wanted = [fact.rstrip("*") for fact in facts if fact.endswith("*") or fact in (*_FACTS, "PERM")]
            await self._answer(f"OPTS MLST {';'.join(wanted)};", "200", may_fail=True)

    async def _learn_doubling(self) -> None:
        """The control connection is Telnet's, where the byte 255 (я in windows-1251) begins a command unless doubled.

        Half of the servers hold to that. What one makes of a command that is none shows which half it belongs to.
        """
        with self._asking():
            try:
                await self._wire.command("X\xff\xffX", "999")
            except StatusCodeError as error:
                self._doubles = any("X\xffX" in line.upper() for line in error.info)

    def _can(self, feature: str) -> bool:
        return any(line.split(" ")[0] == feature for line in self._features)

    # --- looking

    async def entries(self, at: Segments) -> list[Entry]:
        """See Remote."""
        path = self._wire_path(at)
        found = []
        for line in await (self._lines_of_facts(path) if self._facts else self._lines_for_people(path)):
            if line.kind == "other" or line.name in {b".", b".."}:
                continue
            name = line.name.decode(self._charset, "surrogateescape")
            if not named(name):
                self.strange += 1
                continue
            found.append(Entry((*at, name), line.size, line.modified, line.kind))
        return found

    async def _lines_of_facts(self, path: str) -> list[listing.Line]:
        return [line for each in await self._lines(f"MLSD {path}") if (line := listing.mlsx(each)) is not None]

    async def _lines_for_people(self, path: str) -> list[listing.Line]:
        await self._command(f"CWD {path}", "250")
        today, found = time.gmtime()[:3], []
        for each in await self._lines(self._list):
            if (line := listing.listed(each, today)) is not None:
                found.append(line)
            elif listing.is_name(each):
                self.strange += 1
        return found

    async def _lines(self, command: str) -> list[bytes]:
        lines: list[bytes] = []
        with self._transferring():
            try:
                stream = await self._wire.get_stream(command, "1xx")
            except StatusCodeError as error:
                if error.received_codes[-1] == "450" or str(error.received_codes[-1]).startswith("2"):
                    return []  # some servers say so of an empty folder
                raise
            try:
                while True:
                    async with self._wire.patient():
                        line = await stream.readline()
                    if not line:
                        break
                    lines.append(line)
                    if len(lines) > MOST:
                        raise ReplyInvalid(f"{self._where} lists more than {MOST} names")
                await stream.finish()
            except BaseException:
                stream.writer.transport.abort()
                raise
        return lines

    async def find(self, at: Segments) -> Entry | None:
        """See Remote."""
        path = self._wire_path(at)
        if self._facts:
            try:
                answer = await self._command(f"MLST {path}", "250")
            except Missing:
                return None
            lines = [listing.mlsx(line.encode("latin-1")) for line in answer]
            line = next((line for line in lines if line is not None), None)
            return None if line is None or line.kind == "other" else Entry(at, line.size, line.modified, line.kind)
        if self._can("SIZE") and self._can("MDTM"):
            try:
                (size,) = (await self._command(f"SIZE {path}", "213"))[-1:]
                return await self.exact(Entry(at, int(size.strip())))
            except (Missing, ValueError):
                return None
        try:
            return next((entry for entry in await self.entries(at[:-1]) if entry.at == at), None)
        except Missing:
            return None

    async def exact(self, entry: Entry) -> Entry:
        """See Remote."""
        if self._facts or not self._can("MDTM"):
            return entry
        answer = await self._answer(f"MDTM {self._wire_path(entry.at)}", "213", may_fail=True)
        modified = listing.stamp(answer[-1].encode("latin-1")) if answer else None
        return entry if modified is None else Entry(entry.at, entry.size, modified, entry.kind)

    # --- carrying

    async def read(self, at: Segments, offset: int = 0) -> AsyncGenerator[bytes, None]:
        """See Remote."""
        with self._transferring():
            stream = await self._begun(f"RETR {self._wire_path(at)}", offset)
            try:
                while True:
                    async with self._wire.patient():
                        piece = await stream.read(PIECE)
                    if not piece:
                        break
                    yield piece
                await stream.finish()
            except BaseException:
                stream.writer.transport.abort()
                raise

    async def write(self, at: Segments, pieces: AsyncIterator[bytes], offset: int = 0) -> None:
        """See Remote."""
        with self._transferring():
            stream = await self._begun(f"STOR {self._wire_path(at)}", offset)
            try:
                async for piece in pieces:
                    async with self._wire.patient():
                        await stream.write(piece)
                if self._wire.secured is None:
                    with suppress(OSError):  # the server has ended the transfer already; why, stands in its answer
                        stream.writer.write_eof()  # what is still under way reaches the server before the end does
                await stream.finish()
            except (ConnectionError, ssl.SSLError):
                # The server ended the transfer; why, stands in its answer.
                stream.writer.transport.abort()
                await self._wire.command(None, "2xx", "1xx")
                raise
            except BaseException:
                stream.writer.transport.abort()
                raise

    async def _begun(self, command: str, offset: int) -> Any:
        try:
            return await self._wire.get_stream(command, "1xx", offset=offset)
        except StatusCodeError as error:
            code = str(error.received_codes[-1])
            if offset and code not in {"421", "530", "452", "552"}:
                self.usable = True
                raise CannotResume(self._told(error)) from error
            raise

    # --- changing

    async def move(self, source: Segments, target: Segments, *, strict: bool = False) -> None:
        """See Remote."""
        await self._command(f"RNFR {self._wire_path(source)}", "350")
        try:
            await self._command(f"RNTO {self._wire_path(target)}", "250")
        except Missing as error:
            if is_there(str(error)) or await self.find(target) is not None:
                raise Taken(str(error)) from error
            raise

    async def replace(self, source: Segments, target: Segments) -> None:
        """See Remote. A server that does not rename over a file has none of that name for a moment."""
        try:
            await self.move(source, target)
        except Taken:
            await self.delete(target)
            await self.move(source, target)
        except Unreachable as error:
            raise NoAnswer(f"{error.text}; it may have been renamed to {shown(target)}") from error

    async def delete(self, at: Segments) -> None:
        """See Remote."""
        try:
            await self._command(f"DELE {self._wire_path(at)}", "250")
        except Missing as error:
            if await self.find(at) is not None:
                raise NotAuthorised(f"{self._where} does not let us delete {shown(at)}: {error}") from error

    async def make(self, at: Segments) -> bool:
        """See Remote."""
        with suppress(Missing):
            await self._command(f"CWD {self._wire_path(at)}", "250")
            return False
        said = ""
        for depth in range(1, len(at) + 1):
            try:
                await self._command(f"MKD {self._wire_path(at[:depth])}", "257")
            except Missing as error:
                said = str(error)  # most say 550 of a folder that is there
        try:
            await self._command(f"CWD {self._wire_path(at)}", "250")
        except Missing as error:
            raise NotAuthorised(f"{self._where} does not let us make {shown(at)}: {said or error}") from error
        return True

    async def unmake(self, at: Segments) -> None:
        """See Remote."""
        with suppress(Missing, NotAuthorised):  # 550 is all that servers say of it
            await self._command(f"RMD {self._wire_path(at)}", "250")

    async def may(self, at: Segments) -> set[str] | None:
        """What we may do in a folder, by the letters of RFC 3659 (c: make files, m: make folders …); None: not told."""
        if not self._facts:
            return None
        for line in await self._command(f"MLST {self._wire_path(at)}", "250"):
            for fact in line.strip().split(" ")[0].lower().split(";"):
                if fact.startswith("perm="):
                    return set(fact.removeprefix("perm="))
        return None

    async def renames(self, at: Segments) -> None:
        """Asks whether something may be renamed, and does not. Raises Missing, NotAuthorised."""
        await self._command(f"RNFR {self._wire_path(at)}", "350")
        await self.alive()

    # --- the session itself

    async def alive(self) -> None:
        """See Remote."""
        await self._command("NOOP", "2xx")

    async def close(self) -> None:
        """See Remote."""
        with suppress(PeerError, Missing, TimeoutError):
            async with asyncio.timeout(1):
                await self._command("QUIT", "2xx")
        self.drop()

    def drop(self) -> None:
        """See Remote."""
        self.usable = False
        self._wire.cut()

    async def _command(self, command: str, expected: str) -> list[str]:
        """The lines of the answer. Raises Missing for what servers say of names that are not there."""
        with self._asking():
            _, lines = await self._wire.command(command, expected)
            return list(lines)

    async def _answer(self, command: str, expected: str, *, may_fail: bool = False) -> list[str]:
        try:
            return await self._command(command, expected)
        except (Missing, PeerError):
            if may_fail and self.usable:
                return []
            raise

    def _wire_path(self, at: Segments) -> str:
        path = f"{self.base}/{'/'.join(at)}" if at else self.base or "/"
        return self._said(path)

    def _said(self, text: str) -> str:
        """As it goes over the wire. Raises BadHeader for what the charset cannot say, and for what would end a line."""
        if any(sign in text for sign in "\r\n\0"):
            raise BadHeader(f"{text[:80]!r} holds a sign that FTP cannot carry")
        try:
            data = text.encode(self._charset, "surrogateescape")
        except UnicodeEncodeError as error:
            raise BadHeader(
                f"{text[:80]!r} cannot be written in {self._charset}, the charset of this server"
            ) from error
        return (data.replace(b"\xff", b"\xff\xff") if self._doubles else data).decode("latin-1")

    def _told(self, error: StatusCodeError) -> str:
        lines = error.info if isinstance(error.info, list) else [error.info]
        data = " ".join(line.strip(" -") for line in lines).encode("latin-1")[:500]
        return f"{error.received_codes[-1]} {data.decode(self._charset, 'replace')}".strip()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """A command and its answer: an answer that refuses leaves the session as good as it was."""
        self.usable = False
        with self._translated():
            try:
                yield
            except StatusCodeError as error:
                raise self._refused(error) from error
        self.usable = True

    _transferring = _asking
    """a transfer: only one that ends well, or is refused, leaves a session that one can be sure of"""

    def _refused(self, error: StatusCodeError) -> Exception:
        """What an answer means that was not hoped for."""
        code, told = str(error.received_codes[-1]), self._told(error)
        if code[:1] in {"1", "2", "3"} and code not in _SIGN_IN:
            return Unreachable(f"{self._where} said {told!r}, which is no answer to what was asked")
        self.usable = code != "421"
        if code in _GONE and not no_right(told):
            return Missing(told)
        return meaning(self._where, code, told.removeprefix(code).strip())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise Unreachable(f"{self._where} said nothing for {self._seconds:g} s") from error
        except (ConnectionError, EOFError, ssl.SSLError) as error:
            raise Unreachable(f"{self._where} ended the connection{_why(error)}") from error
        except OSError as error:
            raise Unreachable(f"{self._where}: {error.strerror or error}") from error
        except RuntimeError as error:
            if "closed" not in str(error):  # uvloop's word for a connection that is gone
                raise
            raise Unreachable(f"{self._where} ended the connection") from error
        except StatusCodeError:
            raise
        except (AIOFTPException, ValueError, IndexError) as error:
            raise ReplyInvalid(f"{self._where} answered something that is not FTP: {str(error)[:200]}") from error


def _why(error: BaseException) -> str:
    return f": {error}" if str(error) else ""


def _quoted(text: str) -> str:
    """The path within the answer of PWD."""
    found = text.split('"')
    return '"'.join(part for part in found[1:-1]) if len(found) > 2 else "/"
