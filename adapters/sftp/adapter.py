"""The adapter: makes sessions with one SFTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from adapters.files.adapter import FileAdapter, dialled
from adapters.files.remote import Remote
from adapters.http_dialling import Dialler
from adapters.http_network import Permissions
from adapters.sftp.config import SftpConfig
from adapters.sftp.examining import climbed
from adapters.sftp.session import SftpSession
from adapters.sftp.signing import signed_in
from pipe.contract import ConnectionConfig, Rung, Services, Timeout


class Sftp(FileAdapter):
    """Source and sink over an SFTP server."""

    Config: ClassVar[type[ConnectionConfig]] = SftpConfig

    def __init__(self, name: str, config: SftpConfig, services: Services) -> None:
        super().__init__(name, config, services)
        self.config = config
        host, port = config.place
        self.dialler = Dialler(host, port, Permissions(config.allow, config.url), None)
        self.where = f"{name} at {self.dialler.where}"
        self.pool = self._pool

    async def _dial(self, timeout: Timeout) -> Remote:
        sock = await dialled(self.dialler, timeout, self._pool)
        connection = await signed_in(self.config, sock, self.where, timeout, self._pool)
        session = SftpSession(connection, self.where, self.config.charset, timeout.read)
        try:
            await session.begin(self.config.folder)
        except BaseException:
            session.drop()
            raise
        return session

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """Name, TCP, host key, sign-in, the folders of the routes and what we may do there. Nothing is written."""
        async for rung in climbed(self, uses):
            yield rung
