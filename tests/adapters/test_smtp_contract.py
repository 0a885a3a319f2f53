"""The promises of every sink, kept with mail."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.smtp import Smtp
from adapters.smtp.config import SmtpTarget
from pipe.testing import FakeServices
from pipe.testing.suites import SinkContract
from tests.adapters.smtp_bench import MailServer, config, target


class Postman:
    """A mail server whose mails hold the body as an attachment."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self.target: SmtpTarget = target(attachments=[{"name": "body.bin", "content_type": "application/octet-stream"}])

    def make(self) -> Smtp:
        """See SinkPeer."""
        return Smtp("mail", config(self._server.port), FakeServices())

    async def received(self) -> list[bytes]:
        """See SinkPeer."""
        return [part.get_content() for mail in self._server.mails for part in mail.iter_attachments()]

    async def leave(self) -> None:
        """See AdapterPeer."""
        await self._server.stop()


class TestSmtp(SinkContract):
    """Mail."""

    @pytest.fixture
    async def peer(self) -> AsyncIterator[Postman]:
        """A server on this machine."""
        server = MailServer()
        await server.start()
        try:
            yield Postman(server)
        finally:
            await server.stop()
