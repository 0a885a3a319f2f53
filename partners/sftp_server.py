"""An SFTP server over a folder: asyncssh's, in this process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import asyncssh

from partners.demo import PASSWORD, USER
from partners.partner import bound


@dataclass
class SftpServer:
    """An SFTP server on the running loop. Started again it has the same port and the same host key.

    `keys` are public keys, in OpenSSH's form, that may sign in; `passwords` may change at any time.
    """

    folder: Path
    port: int = 0
    users: Mapping[str, str] | None = None
    """passwords by name; a mapping that changes holds from the next sign-in"""
    keys: tuple[str, ...] = ()
    server: Callable[..., asyncssh.SFTPServer] = asyncssh.SFTPServer
    """a subclass of it that misbehaves"""
    lets_in: Callable[[str, str], bool] | None = None
    """decides by name and password, instead of `users`"""
    deaf: bool = False
    """whoever connects is heard by nobody"""

    def __post_init__(self) -> None:
        self.users = {USER: PASSWORD} if self.users is None else self.users
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()

    @property
    def address(self) -> str:
        """As `url:` of a connection takes it."""
        return f"sftp://127.0.0.1:{self.port}"

    @property
    def fingerprint(self) -> str:
        """Of its host key, as `host_keys:` of a connection takes it."""
        return self.host_key.get_fingerprint()

    @property
    def known_hosts(self) -> str:
        """The line of a known_hosts file that pins it."""
        return f"[127.0.0.1]:{self.port} {self.host_key.export_public_key().decode().strip()}\n"

    async def start(self, sock: socket.socket | None = None) -> Self:
        """Returns once it takes connections, on a socket that is bound or its own. Raises OSError."""
        if self._acceptor is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            listening = sock or bound(self.port)
            self.port = listening.getsockname()[1]
            self._acceptor = await asyncssh.listen(
                sock=listening,
                server_factory=partial(_SshServer, self),
                server_host_keys=[self.host_key],
                sftp_factory=partial(self.server, chroot=str(self.folder).encode()),
                allow_scp=False,
                config=None,
            )
        return self

    def hear(self, *, deaf: bool) -> None:
        """Whether it hears what its clients say: those of now, and new ones."""
        self.deaf = deaf
        for connection in self._connections:
            _listen(connection, deaf=deaf)

    async def stop(self) -> None:
        """Drops its clients and refuses new ones; safe twice."""
        acceptor, self._acceptor = self._acceptor, None
        if acceptor is not None:
            acceptor.close()
            for connection in list(self._connections):
                connection.abort()
            await acceptor.wait_closed()


class _SshServer(asyncssh.SSHServer):
    """Who may sign in."""

    def __init__(self, partner: SftpServer) -> None:
        self._partner = partner
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remembers it, so that `stop` can drop it."""
        self._connection = conn
        self._partner._connections.add(conn)  # noqa: SLF001  two halves of one server
        _listen(conn, deaf=self._partner.deaf)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets it."""
        if self._connection is not None:
            self._partner._connections.discard(self._connection)  # noqa: SLF001  see above

    def begin_auth(self, username: str) -> bool:
        """Everybody must sign in."""
        return True

    def password_auth_supported(self) -> bool:
        """Yes."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Whether that is today's password."""
        if self._partner.lets_in is not None:
            return self._partner.lets_in(username, password)
        return (self._partner.users or {}).get(username) == password

    def public_key_auth_supported(self) -> bool:
        """Where there are keys."""
        return bool(self._partner.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether that key is one of those."""
        known = (asyncssh.import_public_key(text) for text in self._partner.keys)
        return username in (self._partner.users or {}) and any(each == key for each in known)


def _listen(connection: Any, *, deaf: bool) -> None:
    transport = connection._transport  # noqa: SLF001  there is no other way to its socket
    if transport is not None and not transport.is_closing() and transport.is_reading() == deaf:
        (transport.pause_reading if deaf else transport.resume_reading)()
