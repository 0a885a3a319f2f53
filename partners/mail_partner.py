"""The stand-in of a mail server, derived from the connection that leads to it. Nothing is ever passed on."""

from __future__ import annotations

import asyncio
import email
import hmac
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, ClassVar

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from partners.manners import Manner, Verb
from partners.partner import Partner
from partners.records import Answer
from pipe.config.models import Configuration, ConnectionSpec
from pipe.errors import SecretMissing

_AT_ONCE = struct.pack("ii", 1, 0)
_CODES = {"refuse": (422, 550), "fail": (503, 451)}
_ONCE = ("from", "date", "message-id", "subject", "to")
"""fields that a mail must have, and have once"""
_LONGEST = 998


class MailPartner(Partner):
    """Takes mail from whoever signs in as the connection does, and keeps it under `DATA/partners/NAME/mails`."""

    scheme: ClassVar[str] = "smtp"
    senseless: ClassVar[Mapping[Verb, str]] = {
        "error200": "a mail server says how it went by its code alone; use `refuse`"
    }

    def __init__(
        self, spec: ConnectionSpec, _: Configuration, folder: Path, *, port: int = 0, fsync: bool = False
    ) -> None:
        super().__init__(spec.name, folder, port=port, fsync=fsync)
        self.config: Any = spec.config
        self._mails = folder / "mails"
        self._mails.mkdir(parents=True, exist_ok=True)
        self._server: asyncio.Server | None = None
        self.clients: set[_Client] = set()

    def settings(self) -> Mapping[str, Any]:
        """See Partner."""
        return {"url": self.address, "starttls": False, "tls": None, "mtls": None, "allow": None}

    async def _open(self, sock: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), sock=sock)

    async def _shut(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for client in list(self.clients):
                client.transport.abort()  # type: ignore[union-attr]

    # --- what aiosmtpd asks

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Whether that is who the connection says it is."""
        try:
            wanted = self.config.password.reveal().encode()
        except SecretMissing:
            wanted = b""
        right = bool(wanted) and hmac.compare_digest(data.password, wanted)
        return AuthResult(success=right and data.login.decode() == self.config.username, handled=False)

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802
        """Only after sign-in, where the connection has one."""
        await self._heard()
        if self.config.username is not None and not session.authenticated:
            return "530 5.7.0 sign in first"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 good"

    async def handle_DATA(self, server: _Client, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """A mail: kept where it is well made, and answered as the manner says."""
        await self._heard()
        manner = self.take_turn()
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        if manner.verb in _CODES:
            none, code = _CODES[manner.verb]
            code = code if manner.status == none else manner.status
            self._record(envelope, content, "fail", code)
            return f"{code} the partner was told to {manner.verb}"
        mail = email.message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        if (problem := _wrong(mail, content)) is not None:
            self._record(envelope, content, "fail", 554)
            return f"554 5.6.0 {problem}"
        if manner.works:
            self._keep(mail, envelope, content)
        bad = manner.verb in {"reset", "truncate", "garbage"}
        self._record(envelope, content, "none" if bad else "ok", 250)
        return await self._answered(server, manner)

    async def _answered(self, client: _Client, manner: Manner) -> str:
        answer, transport = f"250 2.0.0 kept as {len(self.rows)}", client.transport
        assert isinstance(transport, asyncio.Transport)
        match manner.verb:
            case "slow":
                await asyncio.sleep(manner.seconds)
            case "duplicate":
                return f"{answer}\r\n{answer}"
            case "reset":
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                transport.abort()
            case "truncate":
                transport.write(answer[:2].encode())
                transport.close()
            case "garbage":
                transport.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                transport.close()
        return answer

    async def _heard(self) -> None:
        """Returns unless it is to hang."""
        if self.manner.verb == "hang":
            await asyncio.Event().wait()

    def _record(self, envelope: Envelope, content: bytes, answer: Answer, status: int) -> None:
        about = email.message_from_bytes(content, policy=policy.default)
        headers = {"X-Pipe-Message-Id": str(about["message-id"] or "")}
        self.recorder.saw(headers, "MAIL", ", ".join(envelope.rcpt_tos), content, answer, status)

    def _keep(self, mail: EmailMessage, envelope: Envelope, content: bytes) -> None:
        """A mail that comes twice under one Message-ID is one mail."""
        key = str(mail["message-id"])
        if self.rows.of_key(key) is None:
            subject, sender = str(mail["subject"]), str(envelope.mail_from)
            row = self.rows.add(key, content, to=list(envelope.rcpt_tos), sender=sender, subject=subject)
            (self._mails / f"{row['n']}.eml").write_bytes(content)


class _Client(SMTP):
    """One conversation."""

    def __init__(self, partner: MailPartner) -> None:
        self._partner = partner
        super().__init__(
            partner,
            hostname="stand-in.example",
            # It demands a sign-in by `handle_MAIL`: the library would warn that this way has no TLS.
            auth_require_tls=False,
            authenticator=partner.authenticate,
            enable_SMTPUTF8=True,
            data_size_limit=int(partner.config.max_mail),
        )

    def connection_made(self, transport: Any) -> None:
        """Remembered, so that `stop` can end it."""
        self._partner.clients.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forgotten."""
        self._partner.clients.discard(self)
        with suppress(asyncio.CancelledError):
            super().connection_lost(error)


def _wrong(mail: EmailMessage, content: bytes) -> str | None:
    """What is wrong with a mail, by RFC 5322; None where nothing is."""
    for name in _ONCE:
        if len(mail.get_all(name, ())) > 1 or (name != "to" and mail[name] is None):
            return f"a mail has one {name}"
    defects = [*mail.defects, *(defect for value in mail.values() for defect in value.defects)]
    if defects:
        return f"the mail is not well made: {defects[0]}"
    if any(len(line) > _LONGEST for line in content.split(b"\r\n")):
        return f"a line has more than {_LONGEST} bytes"
    return None
