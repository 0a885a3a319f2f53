"""The adapter: makes sessions with one FTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from adapters.files.adapter import FileAdapter, dialled
from adapters.files.remote import Remote
from adapters.ftp.config import FtpConfig
from adapters.ftp.examining import climbed
from adapters.ftp.session import FtpSession
from adapters.ftp.wire import Wire
from adapters.http_dialling import Dialler
from adapters.http_network import Permissions, TlsFiles
from pipe import blocking
from pipe.contract import Certificate, ConnectionConfig, Rung, Services, Timeout


class Ftp(FileAdapter):
    """Source and sink over an FTP server."""

    Config: ClassVar[type[ConnectionConfig]] = FtpConfig

    def __init__(self, name: str, config: FtpConfig, services: Services) -> None:
        super().__init__(name, config, services)
        self.config = config
        host, port = config.place
        self.tls = None if config.mode == "none" else TlsFiles(config.checks, config.mtls, speaks=None)
        self.dialler = Dialler(host, port, Permissions(config.allow, config.url), None)
        self._pool = f"ftp {name}"

    async def open(self) -> None:
        """Reads the TLS files; asks nobody. Raises TlsFailed."""
        await super().open()
        if self.tls is not None:
            await blocking.run(self._pool, self.tls.context)

    async def _dial(self, timeout: Timeout) -> Remote:
        session = self.session(timeout)
        try:
            await session.greet(await dialled(self.dialler, timeout, self._pool), self.config.mode, self.tls)
            await self.sign_in(session)
        except BaseException:
            session.drop()
            raise
        if self.tls is not None and session.secured is not None:
            self.tls.saw(session.secured.getpeercert())
        return session

    def session(self, timeout: Timeout) -> FtpSession:
        """One that has not begun yet."""
        where = f"{self.name} at {self.dialler.where}"
        return FtpSession(Wire(self.dialler, timeout), where, self.config.charset, timeout.read)

    async def sign_in(self, session: FtpSession) -> None:
        """With today's password. Raises NotAuthorised, SecretMissing."""
        password = self.config.password.reveal() if self.config.password else None
        await session.sign_in(self.config.user, password, self.config.folder)

    def certificates(self) -> list[Certificate]:
        """The server's and ours."""
        return self.tls.certificates() if self.tls is not None else []

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """Name, TCP, TLS, sign-in, the folders of the routes and what we may do there. Nothing is written."""
        async for rung in climbed(self, uses):
            yield rung
