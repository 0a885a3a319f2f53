"""An FTP server over a folder: pyftpdlib's, plain or with explicit or implicit TLS."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from partners.demo import PASSWORD, USER

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore, which is vendored from Python 3.12 on
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.exceptions import AuthenticationFailed
    from pyftpdlib.filesystems import AbstractedFS
    from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
    from pyftpdlib.ioloop import IOLoop
    from pyftpdlib.servers import FTPServer

__all__ = ["AbstractedFS", "FTPHandler", "FtpServer", "Mode"]

Mode = Literal["none", "explicit", "implicit"]


class _Implicit(TLS_FTPHandler):  # type: ignore[misc]  # the library has no types
    """TLS before the first word, as on port 990."""

    def handle(self) -> None:
        """Shakes hands, then greets."""
        self.secure_connection(self.ssl_context)
        super().handle()


class FtpServer:
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
        lets_in: Callable[[str, str], bool] | None = None,
        permissions: str = "elradfmwMT",
        settings: Mapping[str, Any] | None = None,
        base: type[FTPHandler] | None = None,
    ) -> None:
        """`lets_in` decides by name and password, instead of `users`; `base` is a handler that behaves otherwise."""
        self.folder, self.tls = folder, tls
        self.users = dict(users or {USER: PASSWORD})
        """today's passwords by name; a change holds from the next sign-in"""
        self.lets_in = lets_in or (lambda user, password: self.users.get(user) == password)
        self.port = port
        base = base or {"none": FTPHandler, "explicit": TLS_FTPHandler, "implicit": _Implicit}[tls]
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

    async def start(self, sock: socket.socket | None = None) -> Self:
        """Returns once it takes connections, on a socket that is bound or its own. Raises OSError."""
        if self._thread is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._server = FTPServer(sock or ("127.0.0.1", self.port), self.handler, ioloop=IOLoop())
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

    def __init__(self, partner: FtpServer, permissions: str) -> None:
        super().__init__()
        self._partner, self._permissions = partner, permissions

    def validate_authentication(self, username: str, password: str, handler: Any) -> None:
        """Raises what the library knows as a refusal."""
        if not self._partner.lets_in(username, password):
            raise AuthenticationFailed("wrong name or password")

    def get_home_dir(self, username: str) -> str:
        """Where a client begins, and cannot leave."""
        return str(self._partner.folder)

    def has_user(self, username: str) -> bool:
        """Whether that name may sign in."""
        return True

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
