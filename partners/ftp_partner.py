"""The stand-in of an FTP server, derived from the connection that leads to it."""

from __future__ import annotations

import socket
import struct
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from partners.files_partner import FilesPartner
from partners.ftp_server import AbstractedFS, FTPHandler, FtpServer
from partners.manners import Manner
from pipe.config.models import Configuration, ConnectionSpec

_CODES = {"refuse": (422, {"STOR": 553, "RETR": 550}), "fail": (503, {"STOR": 452, "RETR": 451})}
"""by manner: the status of HTTP that stands for none, and the answers to each command"""
_AT_ONCE = struct.pack("ii", 1, 0)


class FtpPartner(FilesPartner):
    """Lets in whoever has the connection's user and password, without TLS; each transfer is a request."""

    scheme: ClassVar[str] = "ftp"

    def __init__(
        self, spec: ConnectionSpec, configuration: Configuration, folder: Path, *, port: int = 0, fsync: bool = False
    ) -> None:
        super().__init__(spec, configuration, folder, port=port, fsync=fsync)
        self._server: FtpServer | None = None

    def settings(self) -> Mapping[str, Any]:
        """See Partner."""
        return {"url": self.address, "tls": "none", "mtls": None, "allow": None}

    async def _open(self, sock: socket.socket) -> None:
        own = {"partner": self, "encoding": self.config.charset, "use_sendfile": False, "abstracted_fs": _Shelf}
        self._server = FtpServer(self.root, lets_in=self.lets_in, base=_Handler, settings=own)
        await self._server.start(sock)

    async def _shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()


class _Shelf(AbstractedFS):  # type: ignore[misc]  # the library has no types
    """The files, of which half is read out where the manner says so."""

    def open(self, filename: str, mode: str) -> Any:
        """See the library."""
        file = super().open(filename, mode)
        if mode == "rb" and self.cmd_channel.manner.verb == "truncate":
            half = tempfile.NamedTemporaryFile()  # noqa: SIM115  the library closes it
            half.write(file.read(Path(filename).stat().st_size // 2))
            half.seek(0)
            file.close()
            return half
        return file

    def rename(self, src: str, dst: str) -> None:
        """See the library."""
        super().rename(src, dst)
        self.cmd_channel.partner.named(Path(src), Path(dst))


class _Handler(FTPHandler):  # type: ignore[misc]  # as above
    """One client. It lives in the server's thread; what it asks of the partner takes no time."""

    partner: FtpPartner
    manner = Manner()
    """that the present transfer meets"""
    _transfer: tuple[str, Path] | None = None

    def process_command(self, cmd: str, *given: Any, **named: Any) -> None:
        """Hears nothing while it is to hang."""
        if self.partner.manner.verb != "hang":
            super().process_command(cmd, *given, **named)

    def handle(self) -> None:
        """Says not even hello while it is to hang."""
        if self.partner.manner.verb != "hang":
            super().handle()

    def ftp_STOR(self, file: str, mode: str = "w") -> None:  # noqa: N802
        """A file comes."""
        self._begin("STOR", file, lambda: super(_Handler, self).ftp_STOR(file, mode))

    def ftp_RETR(self, file: str) -> None:  # noqa: N802
        """A file is asked for."""
        self._begin("RETR", file, lambda: super(_Handler, self).ftp_RETR(file))

    def _begin(self, command: str, file: str, go: Callable[[], None]) -> None:
        if not Path(file).parent.is_dir():  # the folder is made first; that is no request yet
            go()
            return
        self.manner, self._transfer = self.partner.take_turn(), (command, Path(file))
        if self.manner.verb in _CODES:
            none, codes = _CODES[self.manner.verb]
            code = codes[command] if self.manner.status == none else self.manner.status
            word = "refuse" if self.manner.verb == "refuse" else "fail"
            self.respond(f"{code} the partner was told to {word}")
        elif self.manner.verb == "slow":
            self.ioloop.call_later(self.manner.seconds, go)
        else:
            go()

    def respond(self, resp: str, *given: Any, **named: Any) -> None:
        """The answer that ends a transfer is the one that a manner spoils."""
        if self._transfer is None or resp[:1] == "1":
            super().respond(resp, *given, **named)
            return
        (command, path), self._transfer = self._transfer, None
        verb, good = self.manner.verb, resp[:1] == "2"
        if good and command == "STOR":
            self._spoil(path)
        bad = verb in {"reset", "garbage"}
        self.partner.moved(command, path, "none" if bad else "ok" if good else "fail", int(resp[:3]))
        if good and verb == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.close()
        elif good and verb == "garbage":
            self.push("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            self.close_when_done()
        else:
            for _ in range(2 if good and verb == "duplicate" else 1):
                super().respond(resp, *given, **named)

    def _spoil(self, path: Path) -> None:
        """Half of what came is kept, or nothing of it."""
        if self.manner.verb == "truncate":
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 2)
        elif not self.manner.works:
            path.unlink()
