"""Stand-ins that keep files: an FTP server (plain, explicit or implicit TLS) and an SFTP server, each over a folder."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import asyncssh

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore, which is vendored from Python 3.12 on
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

USER, PASSWORD = "pipe", "demo-password-of-the-files-stand-in"
"""published, and of no use anywhere else"""
Mode = Literal["none", "explicit", "implicit"]


class _Implicit(TLS_FTPHandler):  # type: ignore[misc]  # the library has no types
    """TLS before the first word, as on port 990."""

    def handle(self) -> None:
        """Shakes hands, then greets."""
        self.secure_connection(self.ssl_context)
        super().handle()


class FtpPartner:
    """An FTP server in a thread of its own. `settings` are attributes of pyftpdlib's handler.

    Started again it has the same port. With `tls` it needs `certificate`, a PEM file of key and chain.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        tls: Mode = "none",
        certificate: Path | None = None,
        users: Mapping[str, str] | None = None,
        permissions: str = "elradfmwMT",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.tls = folder, tls
        self.users = dict(users or {USER: PASSWORD})
        """today's passwords by name; a change holds from the next sign-in"""
        self.port = port
        base = {"none": FTPHandler, "explicit": TLS_FTPHandler, "implicit": _Implicit}[tls]
        secured = {} if tls == "none" else {"certfile": str(certificate), "tls_control_required": tls == "explicit"}
        secured |= {} if tls == "none" else {"tls_data_required": True, "ssl_context": None}
        own = {"authorizer": _Authorizer(self, permissions), "banner": "stand-in", "auth_failed_timeout": 0}
        own["use_sendfile"] = tls == "none"
        self.handler: Any = type("Handler", (base,), {**own, **secured, **(settings or {})})
        """pyftpdlib's, to be changed before the start"""
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        logging.getLogger("pyftpdlib").addHandler(logging.NullHandler())  # else it writes to standard error

    @property
    def address(self) -> str:
        """As `url:` of a connection takes it."""
        return f"ftp://127.0.0.1:{self.port}"

    @property
    def sessions(self) -> int:
        """How many clients are connected."""
        known = () if self._server is None else list(self._server.ioloop.socket_map.values())
        return sum(type(each) is self.handler for each in known)

    async def start(self) -> Self:
        """Returns once it takes connections. Raises OSError where the port is taken."""
        if self._thread is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._server = FTPServer(("127.0.0.1", self.port), self.handler, ioloop=IOLoop())
            self._server.max_cons = 512
            self.port = self._server.address[1]
            self._over.clear()
            self._thread = threading.Thread(target=self._serve, name=f"ftp {self.port}", daemon=True)
            self._thread.start()
        return self

    def _serve(self) -> None:
        while not self._over.is_set():
            self._server.ioloop.loop(timeout=0.02, blocking=False)
        self._server.close_all()

    async def stop(self) -> None:
        """Drops its clients and refuses new ones; safe twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._over.set()
            await asyncio.to_thread(thread.join)
            self._server = None


class _Authorizer(DummyAuthorizer):  # type: ignore[misc]  # the library has no types
    """One folder for everybody, and passwords that may change."""

    def __init__(self, partner: FtpPartner, permissions: str) -> None:
        super().__init__()
        self._partner, self._permissions = partner, permissions

    def validate_authentication(self, username: str, password: str, handler: Any) -> None:
        """Raises what the library knows as a refusal."""
        if self._partner.users.get(username) != password:
            from pyftpdlib.exceptions import AuthenticationFailed

            raise AuthenticationFailed("wrong name or password")

    def get_home_dir(self, username: str) -> str:
        """Where a client begins, and cannot leave."""
        return str(self._partner.folder)

    def has_user(self, username: str) -> bool:
        """Whether that name may sign in."""
        return username in self._partner.users

    def has_perm(self, username: str, perm: str, path: str | None = None) -> bool:
        """What the partner lets anybody do."""
        return perm in self._permissions

    def get_perms(self, username: str) -> str:
        """The same as text."""
        return self._permissions

    def get_msg_login(self, username: str) -> str:
        """A greeting."""
        return "welcome"

    def get_msg_quit(self, username: str) -> str:
        """A goodbye."""
        return "bye"


@dataclass
class SftpPartner:
    """An SFTP server on the running loop. Started again it has the same port and the same host key.

    `keys` are public keys, in OpenSSH's form, that may sign in; `passwords` may change at any time.
    """

    folder: Path
    port: int = 0
    users: Mapping[str, str] | None = None
    """passwords by name; a mapping that changes holds from the next sign-in"""
    keys: tuple[str, ...] = ()
    server: type[asyncssh.SFTPServer] = asyncssh.SFTPServer
    """a subclass of it that misbehaves"""

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

    async def start(self) -> Self:
        """Returns once it takes connections. Raises OSError where the port is taken."""
        if self._acceptor is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", self.port))
            except OSError:
                listening.close()
                raise
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

    def __init__(self, partner: SftpPartner) -> None:
        self._partner = partner
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remembers it, so that `stop` can drop it."""
        self._connection = conn
        self._partner._connections.add(conn)  # noqa: SLF001  two halves of one server

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
        return (self._partner.users or {}).get(username) == password

    def public_key_auth_supported(self) -> bool:
        """Where there are keys."""
        return bool(self._partner.keys)

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether that key is one of those."""
        known = (asyncssh.import_public_key(text) for text in self._partner.keys)
        return username in (self._partner.users or {}) and any(each == key for each in known)
