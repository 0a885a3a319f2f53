"""Mail servers for tests: aiosmtpd with TLS and users, and one that says exactly what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import email
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from adapters.smtp import Smtp
from adapters.smtp.config import SmtpConfig, SmtpTarget
from pipe.contract import Duration, Message, Outgoing, Timeout
from pipe.testing import FakeServices
from tests.adapters.raw_server import listening

QUICK = Timeout(connect=Duration(2), read=Duration(0.3), total=Duration(3))
PATIENT = Timeout(connect=Duration(5), read=Duration(5), total=Duration(10))


@dataclass
class MailServer:
    """aiosmtpd on a free port; `replies` are given instead of its own, by command."""

    users: dict[str, str] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    implicit: bool = False
    utf8: bool = True
    replies: dict[str, str] = field(default_factory=dict)
    """by `MAIL`, `DATA`, or an address for its RCPT"""
    envelopes: list[Envelope] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    """commands, in order"""
    sign_ins: list[str] = field(default_factory=list)
    port: int = 0
    _transports: set[asyncio.BaseTransport] = field(default_factory=set)

    @property
    def mails(self) -> list[EmailMessage]:
        """What it took, parsed."""
        return [parsed(envelope) for envelope in self.envelopes]

    def __post_init__(self) -> None:
        self._server: asyncio.AbstractServer | None = None

    async def start(self, port: int = 0) -> None:
        """Listens."""
        loop = asyncio.get_running_loop()
        context = self.context if self.implicit else None
        self._server = await loop.create_server(self._made, "127.0.0.1", port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends every connection."""
        assert self._server is not None
        self._server.close()
        for transport in list(self._transports):
            transport.abort()  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    def _made(self) -> SMTP:
        outer = self

        class Noting(SMTP):
            """Notes what it is told."""

            def connection_made(self, transport: Any) -> None:
                outer._transports.add(transport)
                super().connection_made(transport)

            async def _call_handler_hook_(self) -> None:
                """Nothing."""

        return Noting(
            self,
            hostname="mail.test",
            tls_context=None if self.implicit else self.context,
            # aiosmtpd warns where it demands a sign-in without its own STARTTLS; `handle_MAIL` demands it then.
            auth_required=bool(self.users) and not self.implicit,
            auth_require_tls=self.context is not None and not self.implicit,
            authenticator=self._authenticate,
            enable_SMTPUTF8=self.utf8,
            data_size_limit=1 << 20,
        )

    # --- what aiosmtpd asks

    def _authenticate(self, server: Any, session: Session, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        login, password = data.login.decode(), data.password.decode()
        good = self.users.get(login) == password
        self.sign_ins.append(f"{login}:{'good' if good else 'bad'}")
        return AuthResult(success=good, handled=False)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        """As told, else well."""
        self.said.append(f"MAIL {address} {' '.join(options)}".rstrip())
        if self.users and not session.authenticated:
            return "530 5.7.0 Authentication required"
        if (told := self.replies.get("MAIL")) is not None:
            return told
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        """As told of this address, else well."""
        self.said.append(f"RCPT {address}")
        if (told := self.replies.get(address)) is not None and not told.startswith("2"):
            return told
        envelope.rcpt_tos.append(address)
        return told or "250 OK"

    async def handle_RSET(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Noted."""
        self.said.append("RSET")
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Noted."""
        self.said.append("QUIT")
        return "221 Bye"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        """As told, else keeps it."""
        self.said.append("DATA")
        if (told := self.replies.get("DATA")) is not None:
            return told
        self.envelopes.append(envelope)
        return "250 2.0.0 queued as 42"


def parsed(envelope: Envelope) -> EmailMessage:
    """The mail that an envelope holds."""
    content = envelope.content
    assert isinstance(content, bytes)
    mail = email.message_from_bytes(content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


@contextlib.asynccontextmanager
async def serving(server: MailServer | None = None) -> AsyncIterator[MailServer]:
    """Runs it."""
    server = server or MailServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def scripted(*lines: str | None, greeting: str = "220 test ESMTP") -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of a server that answers each command with the next line; None: it says nothing more and waits.

    `cut` ends the connection instead of answering. The second value is what it was told.
    """
    told: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{greeting}\r\n".encode())
        within = False
        for line in lines:
            while True:
                said = await reader.readline()
                if not said:
                    return
                told.append(said)
                if not within or said == b".\r\n":
                    break
            if line is None:
                await reader.read()
                return
            if line == "cut":
                return
            within = line.startswith("354")
            writer.write(f"{line}\r\n".encode())
        await reader.read()

    async with listening(handle) as port:
        yield port, told


def config(port: int, **keys: Any) -> SmtpConfig:
    """A connection to a server on this machine, plain unless it says otherwise."""
    plain = {} if keys.get("url") or "tls" in keys else {"starttls": False}
    return SmtpConfig.model_validate(
        {"type": "smtp", "url": f"smtp://127.0.0.1:{port}", "sender": "Центр <noreply@gov.example>", **plain, **keys}
    )


def target(**keys: Any) -> SmtpTarget:
    """A target as the YAML would make it."""
    return SmtpTarget.model_validate({"send": "olena@example.org", "subject": "Звернення", "text": "Вітаємо", **keys})


def attempt(to: SmtpTarget | None = None, body: Any = b"{}", *, plain: Any = None, **more: Any) -> Outgoing:
    """One attempt; `plain` are the values that the templates see."""
    fields: dict[str, Any] = {"id": "d-1", "attempt": 1, "timeout": PATIENT}
    fields |= {name: more.pop(name) for name in ("id", "attempt", "timeout") if name in more}
    kind = more.pop("content_type", "application/json")
    message = Message(id="m-1", route="r", body=body, content_type=kind, received_at=1_768_471_200.0, **more)
    values = message.but(body=plain) if plain is not None else None
    return Outgoing(message=message, target=to or target(), plain=values, **fields)


@contextlib.asynccontextmanager
async def opened(made: SmtpConfig, services: FakeServices | None = None) -> AsyncIterator[Smtp]:
    """An open adapter; closed at the end."""
    adapter = Smtp("mail", made, services or FakeServices())
    await adapter.open()
    try:
        yield adapter
    finally:
        await adapter.close()
