"""The stand-in of an SFTP server, derived from the connection that leads to it."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import asyncssh

from partners.files_partner import FilesPartner
from partners.manners import Manner, Verb
from partners.sftp_server import SftpServer
from pipe.config.models import Configuration, ConnectionSpec

_ONE_WORD = "SSH numbers its answers, so a second one to the same question cannot be sent"
_AT_ONCE = struct.pack("ii", 1, 0)


class SftpPartner(FilesPartner):
    """Shows a host key of its own, and lets in whoever has the connection's password, or the key that it gives out.

    Each file that is opened is a request.
    """

    scheme: ClassVar[str] = "sftp"
    senseless: ClassVar[dict[Verb, str]] = {**FilesPartner.senseless, "duplicate": _ONE_WORD}

    def __init__(
        self, spec: ConnectionSpec, configuration: Configuration, folder: Path, *, port: int = 0, fsync: bool = False
    ) -> None:
        super().__init__(spec, configuration, folder, port=port, fsync=fsync)
        self._key_file = folder / "key"
        keys: tuple[str, ...] = ()
        if self.config.key is not None:
            key = asyncssh.generate_private_key("ssh-ed25519")
            self._key_file.touch(mode=0o600)
            key.write_private_key(str(self._key_file))
            keys = (key.export_public_key().decode(),)
        users = {self.config.user: ""}
        self._server = SftpServer(
            self.root, users=users, keys=keys, server=partial(_Files, self), lets_in=self._by_password
        )

    def _by_password(self, user: str, password: str) -> bool:
        return self.config.password is not None and self.lets_in(user, password)

    def settings(self) -> Mapping[str, Any]:
        """See Partner."""
        own = {"url": self.address, "known_hosts": None, "host_keys": [self._server.fingerprint], "allow": None}
        if self.config.key is not None:
            own |= {"key": f"${{file:{self._key_file.resolve()}}}", "passphrase": None}
        return own

    def behave(self, manner: Manner) -> None:
        """See Partner."""
        super().behave(manner)
        self._server.hear(deaf=manner.verb == "hang")

    async def _open(self, sock: socket.socket) -> None:
        await self._server.start(sock)

    async def _shut(self) -> None:
        await self._server.stop()


class _File:
    """One that is open, and the manner that it meets."""

    def __init__(self, file: Any, path: Path, manner: Manner, *, writes: bool) -> None:
        self.file, self.path, self.manner, self.writes = file, path, manner, writes
        self.half = path.stat().st_size // 2
        """bytes that are given out where half is missing"""


class _Files(asyncssh.SFTPServer):
    """One client's view of the folder, names in the connection's charset."""

    def __init__(self, partner: SftpPartner, channel: Any, chroot: bytes) -> None:
        super().__init__(channel, chroot=chroot)
        self._partner, self._charset = partner, partner.config.charset

    def map_path(self, path: bytes) -> bytes:
        """See the library."""
        return super().map_path(os.fsencode(path.decode(self._charset, "surrogateescape")))

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """See the library."""
        async for each in super().scandir(path):
            each.filename = os.fsdecode(each.filename).encode(self._charset, "surrogateescape")
            yield each

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        """A request begins."""
        partner, writes = self._partner, bool(pflags & asyncssh.FXF_WRITE)
        place = Path(os.fsdecode(self.map_path(path)))
        if not place.parent.is_dir():  # the folder is made first; that is no request yet
            raise asyncssh.SFTPNoSuchFile("there is no such folder")
        manner = partner.take_turn()
        method = "PUT" if writes else "GET"
        if manner.verb in {"refuse", "fail"}:
            partner.moved(method, place, "fail", manner.status)
            text = f"the partner was told to {manner.verb}"
            raise (asyncssh.SFTPOpUnsupported if manner.verb == "refuse" else asyncssh.SFTPFailure)(text)
        if manner.verb == "slow":
            await asyncio.sleep(manner.seconds)
        return _File(super().open(path, pflags, attrs), place, manner, writes=writes)

    def read(self, file_obj: Any, offset: int, size: int) -> Any:
        """See the library."""
        if file_obj.manner.verb == "truncate":
            size = max(0, min(size, file_obj.half - offset))
        return super().read(file_obj.file, offset, size)

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        """See the library."""
        return super().write(file_obj.file, offset, data)

    def fstat(self, file_obj: Any) -> Any:
        """See the library."""
        return super().fstat(file_obj.file)

    def fsetstat(self, file_obj: Any, attrs: asyncssh.SFTPAttrs) -> Any:
        """See the library."""
        return super().fsetstat(file_obj.file, attrs)

    def fsync(self, file_obj: Any) -> Any:
        """See the library."""
        return super().fsync(file_obj.file)

    async def close(self, file_obj: Any) -> None:
        """A request ends; its answer is what a manner spoils."""
        super().close(file_obj.file)
        verb, path = file_obj.manner.verb, file_obj.path
        if file_obj.writes and verb == "truncate":
            os.truncate(path, path.stat().st_size // 2)
        elif file_obj.writes and not file_obj.manner.works:
            path.unlink()
        bad = verb in {"reset", "garbage"}
        self._partner.moved("PUT" if file_obj.writes else "GET", path, "none" if bad else "ok", 0)
        if bad:
            transport: Any = self.connection._transport  # noqa: SLF001  there is no other way to its socket
            if verb == "garbage":
                transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                transport.close()
            else:
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                transport.abort()
            raise asyncssh.SFTPConnectionLost("the partner was told to")

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        """See the library."""
        super().rename(oldpath, newpath)
        self._named(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        """See the library."""
        super().posix_rename(oldpath, newpath)
        self._named(oldpath, newpath)

    def _named(self, old: bytes, new: bytes) -> None:
        self._partner.named(*(Path(os.fsdecode(self.map_path(path))) for path in (old, new)))
