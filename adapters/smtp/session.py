"""One signed-in conversation with a mail server. aiosmtplib speaks; what was said, and what it means, is decided here.

DATA is written in two parts, because a loss before the last dot means that nothing was sent, and after it nobody knows.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.headerregistry import Address
from typing import Any

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from adapters.http_dialling import Dialler
from adapters.http_network import TlsFiles, tls_reason
from adapters.smtp.codes import meaning, no_sign_in, said, shut, worst
from adapters.smtp.composing import Mail
from adapters.smtp.config import SmtpConfig
from pipe import blocking
from pipe.contract import Receipt, Timeout
from pipe.errors import NoAnswer, NotAuthorised, Refused, ReplyInvalid, TlsFailed, Unreachable

_LINE_ENDS = re.compile(rb"\r\n|\n|\r(?!\n)")
_DOTS = re.compile(rb"(?m)^\.")
_NAME = re.compile(r"[A-Za-z0-9.-]{1,253}")
ASKED = 2.0
"""seconds that a kept session has to say that it is still there"""
FAREWELL = 1.0
"""seconds that an orderly end may take"""


class Session:
    """Use it until `lost`; one mail at a time."""

    def __init__(
        self,
        config: SmtpConfig,
        sock: socket.socket,
        dialler: Dialler,
        context: ssl.SSLContext | None,
        password: str | None,
    ) -> None:
        """`sock` stands and has said nothing; without a `context` everything is said in clear."""
        self._config, self.where = config, dialler.where
        self.made_of = (context, password)
        """what a renewed certificate or password differs from"""
        self.good_until = 0.0
        self.handed = False
        """whether the mail that is being sent may have been taken"""
        self._context, self._password = context, password
        self._sock: socket.socket | None = sock
        sock.setblocking(False)
        name = (dialler.tls.server_name if dialler.tls is not None else None) or dialler.host
        self._client = SMTP(
            hostname=name,
            sock=sock,
            timeout=20,
            use_tls=config.implicit,
            tls_context=context,
            start_tls=False,
            local_hostname=config.helo or _own_name(sock),
        )

    @property
    def lost(self) -> bool:
        """Whether nothing more can be said over it."""
        return not self._client.is_connected

    @property
    def ssl(self) -> Any:
        """Asyncio's `ssl_object`, where the way is TLS."""
        return self._client.get_transport_info("ssl_object") if self._client.is_connected else None

    def supports(self, extension: str) -> bool:
        """Whether EHLO named it."""
        return self._client.supports_extension(extension)

    @property
    def most(self) -> int | None:
        """Bytes that the server takes, where it says so."""
        value = self._client.esmtp_extensions.get("size", "")
        return int(value) if value.isascii() and value.isdigit() and int(value) else None

    # --- the way in

    async def begin(self, timeout: Timeout) -> None:
        """Greeting, STARTTLS where it is demanded, sign-in. Raises Unreachable, TlsFailed, Busy, NotAuthorised."""
        await self.greet(timeout)
        if self._context is not None and not self._config.implicit:
            await self.secure(timeout)
        await self.sign_in()

    async def greet(self, timeout: Timeout) -> None:
        """TLS where it comes first, the server's greeting and our EHLO."""
        self._client.timeout, self._sock = float(timeout.read), None  # from here on it is the event loop's to close
        with self._before():
            await self._client.connect(timeout=float(max(timeout.connect, timeout.read)))
            await self._client.ehlo()

    async def secure(self, timeout: Timeout) -> None:
        """STARTTLS, the certificate checked. Raises TlsFailed where it is not offered: nothing is said in clear."""
        if not self.supports("starttls"):
            raise TlsFailed(
                f"{self.where} offers no STARTTLS, and nothing is said in clear",
                hint="use `smtps://` if it speaks TLS on another port; `starttls: false` only for a relay of your own",
            )
        with self._before():
            await self._client.starttls(timeout=float(timeout.connect))
            await self._client.ehlo()

    async def sign_in(self) -> None:
        """Says who we are, where the configuration says it."""
        username = self._config.username
        if username is None or self._password is None:
            return
        if not self._client.supported_auth_methods:
            raise NotAuthorised(f"{self.where} offers no way to sign in that we know (PLAIN, LOGIN, CRAM-MD5)")
        try:
            with self._before():
                await self._client.login(username, self._password)
        except SMTPAuthenticationError as error:
            raise no_sign_in(error.code, error.message, self.where) from error

    # --- one mail

    async def fresh(self, seconds: float = ASKED) -> bool:
        """Whether the server still listens; forgets what an earlier mail left behind."""
        try:
            await self._client.rset(timeout=seconds)
        except (SMTPException, OSError):
            return False
        return self._client.is_connected

    async def allowed(self, sender: Address) -> None:
        """Asks whether mail may be from this sender, and takes it back. Raises what `send` would."""
        with self._before():
            await self._from(sender, [])
            await self._client.rset()

    async def send(self, mail: Mail, timeout: Timeout) -> Receipt:
        """Hands over one mail, to all its recipients or to none.

        Raises Refused, PeerFailed, Busy where the server says no, Unreachable where nothing was sent, NoAnswer where
        the connection broke after the last dot.
        """
        options, self.handed = self._options(mail), False
        self._client.timeout = float(timeout.read)
        with self._before():
            await self._from(mail.sender, options, utf8=mail.utf8)
            await self._to(mail)
            code, text = await self._client.execute_command(b"DATA")
        if code != 354:
            await self.fresh()
            raise meaning(code, text, f"{self.where} does not take the mail")
        code, text = await self._body(mail.content, timeout)
        if not 200 <= code < 300:
            raise meaning(code, text, f"{self.where} does not take the mail")
        body = {"message_id": mail.message_id, "said": said(code, text), "recipients": len(mail.recipients)}
        return Receipt(code, body=body)

    def _options(self, mail: Mail) -> list[str]:
        """What MAIL FROM says beside the sender. Raises Refused for what this server cannot take at all."""
        if self.most is not None and len(mail.content) > self.most:
            raise Refused(f"{self.where} takes at most {self.most} bytes, and this mail has {len(mail.content)}")
        if mail.utf8 and not self.supports("smtputf8"):
            raise Refused(
                f"{self.where} takes only addresses in ASCII (no SMTPUTF8), and one of this mail has other letters",
                hint="use another address of that person, or a mail server that knows SMTPUTF8",
            )
        options = [f"SIZE={len(mail.content)}"] if self.supports("size") else []
        return [*options, "SMTPUTF8"] if mail.utf8 else options

    async def _from(self, sender: Address, options: list[str], *, utf8: bool = False) -> None:
        try:
            await self._client.mail(sender.addr_spec, options=options, encoding="utf-8" if utf8 else "ascii")
        except SMTPSenderRefused as error:
            raise meaning(error.code, error.message, f"{self.where} takes no mail from {sender.addr_spec}") from error

    async def _to(self, mail: Mail) -> None:
        refusals: dict[str, tuple[int, str]] = {}
        for box in mail.recipients:
            try:
                await self._client.rcpt(box.addr_spec, encoding="utf-8" if mail.utf8 else "ascii")
            except SMTPRecipientRefused as error:
                refusals[box.addr_spec] = (error.code, error.message)
                if error.code == 421:
                    break
        if refusals:
            await self.fresh()  # the others were taken already: without this they would get the next mail
            raise worst(refusals, self.where)

    async def _body(self, content: bytes, timeout: Timeout) -> tuple[int, str]:
        """Writes the mail and reads what the server says of it. From here on the mail may have been taken."""
        protocol = self._client.protocol
        if protocol is None:
            raise Unreachable(f"{self.where} ended the connection before the mail was sent")
        content = _LINE_ENDS.sub(b"\r\n", content)
        self.handed = True
        ended = content if content.endswith(b"\r\n") else content + b"\r\n"
        try:
            protocol.write(_DOTS.sub(b"..", ended) + b".\r\n")
            # Reading begins in the same turn of the event loop, or an early answer would be thrown away.
            code, text = await protocol.read_response(timeout=float(timeout.read))
        except SMTPResponseException as error:
            self._client.close()
            raise ReplyInvalid(f"{self.where} answered to the mail what is no reply: {error.message[:200]}") from error
        except (SMTPException, OSError) as error:
            self._client.close()
            raise NoAnswer(f"{self.where} did not say whether it took the mail: {_words(error)}") from error
        except asyncio.CancelledError:
            self._client.close()
            raise
        return code, text

    async def quit(self) -> None:
        """Says goodbye, briefly."""
        if self._client.is_connected:
            with suppress(SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self._client.quit()
        self.drop()

    def drop(self) -> None:
        """Ends it without a word. Safe twice."""
        self._client.close()
        if self._sock is not None:
            self._sock.close()

    @contextmanager
    def _before(self) -> Iterator[None]:
        """What goes wrong here goes wrong before anything was handed over."""
        try:
            yield
        except (SMTPSenderRefused, SMTPRecipientRefused, SMTPAuthenticationError):
            raise
        except (SMTPConnectResponseError, SMTPHeloError) as error:
            self._client.close()
            raise shut(error.code, error.message, self.where) from error
        except SMTPResponseException as error:
            self._client.close()
            raise Unreachable(f"{self.where} answered {said(error.code, error.message)}") from error
        except (SMTPException, OSError) as error:
            self._client.close()
            if (refused := _refused_tls(error)) is not None:
                raise TlsFailed(f"{self.where}: {tls_reason(refused)}") from refused
            raise Unreachable(f"{self.where}: {_words(error)}") from error
        except BaseException:
            self._client.close()
            raise


async def begun(config: SmtpConfig, dialler: Dialler, tls: TlsFiles | None, timeout: Timeout, pool: str) -> Session:
    """A signed-in session. Raises SecretMissing, Unreachable, TlsFailed, Busy, NotAuthorised."""
    password = config.password.reveal() if config.password is not None else None
    context = await blocking.run(pool, tls.context) if tls is not None else None
    seconds = float(min(timeout.connect, timeout.total))
    dialling = asyncio.ensure_future(blocking.run(pool, dialler.plain, seconds))
    try:
        # The grace is for a resolver that does not answer: it knows no time-out of ours.
        sock = await asyncio.wait_for(asyncio.shield(dialling), seconds + 0.5)
    except (TimeoutError, asyncio.CancelledError) as error:
        dialling.add_done_callback(_close_late)
        if isinstance(error, asyncio.CancelledError):
            raise
        raise Unreachable(f"{dialler.where} could not be reached within {seconds:g} s") from None
    session = Session(config, sock, dialler, context, password)
    try:
        async with asyncio.timeout(float(timeout.total)):
            await session.begin(timeout)
        if tls is not None:
            tls.saw(session.ssl.getpeercert() if session.ssl is not None else None)
    except TimeoutError:
        session.drop()
        raise Unreachable(f"{dialler.where} did not let us in within {timeout.total:g} s") from None
    except BaseException:
        session.drop()
        raise
    return session


def _close_late(dialling: asyncio.Future[Any]) -> None:
    """Nobody waits for this socket any more."""
    if not dialling.cancelled() and dialling.exception() is None:
        dialling.result().close()


def _own_name(sock: socket.socket) -> str:
    """What we call ourselves: this machine's full name where it has one, else its address."""
    name = socket.gethostname()
    if "." in name and _NAME.fullmatch(name):
        return name
    address = sock.getsockname()[0].partition("%")[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _refused_tls(error: BaseException) -> ssl.SSLError | None:
    """The failure of TLS behind an error of the library, where it is one that waiting does not mend."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
            return cause
        cause = cause.__cause__
    return None


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
