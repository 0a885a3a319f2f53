"""The adapter: sessions are kept for a moment, so that many mails need one sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Literal

from adapters.http_dialling import Dialler
from adapters.http_network import Permissions, TlsFiles
from adapters.smtp.composing import composed
from adapters.smtp.config import SmtpConfig, SmtpTarget
from adapters.smtp.examining import climbed
from adapters.smtp.session import Session, begun
from pipe import blocking
from pipe.contract import Certificate, ConnectionConfig, Health, Options, Outgoing, Receipt, Rung, Services, Timeout
from pipe.errors import NoAnswer, PipeError, Unreachable

KEEP = 15.0
"""seconds that a session without work is kept"""


class Smtp:
    """A sink for mail."""

    Config: ClassVar[type[ConnectionConfig]] = SmtpConfig
    Target: ClassVar[type[Options]] = SmtpTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"

    def __init__(self, name: str, config: SmtpConfig, services: Services) -> None:
        self.name, self.config, self._clock = name, config, services.clock
        self._timeout = config.timeout or services.default_timeout
        self._tls = TlsFiles(config.tls, config.mtls, speaks=None) if config.secure else None
        self._dialler = Dialler(*config.place, Permissions(config.allow, config.url), self._tls)
        self._pool = f"smtp {name}"
        self._idle: list[Session] = []
        self._closed = False
        self._sweeper: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Reads the TLS files; asks nobody. Raises TlsFailed."""
        self._closed = False
        if self._tls is not None:
            await blocking.run(self._pool, self._tls.context)

    async def close(self) -> None:
        """Says goodbye on every session. Safe before open, safe twice."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(session.quit() for session in idle))
        blocking.close(self._pool)

    async def check(self) -> Health:
        """Signs in, or asks a session that stands. Never raises."""
        try:
            self._keep(await self._session(self._timeout))
        except PipeError as error:
            return Health("down", error.text, error.code)
        finally:
            if self._closed:
                blocking.close(self._pool)
        return Health("up")

    def certificates(self) -> list[Certificate]:
        """The server's and ours."""
        return self._tls.certificates() if self._tls is not None else []

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """Name, TCP, greeting, TLS, sign-in, whether mail may be from our senders. No mail is handed over."""
        async for rung in climbed(self.config, self._dialler, self._timeout, uses, f"{self._pool} doctor"):
            yield rung

    def natural(self, target: SmtpTarget) -> bool:
        """A mail that is sent twice is read twice, though its Message-ID is the same."""
        return False

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Hands over one mail, to all recipients or to none; the receipt means that the server has taken it.

        Raises BadHeader, MappingFailed, Unencodable, TooLarge for a message that makes no mail; Refused, PeerFailed,
        Busy where the server says no; NoAnswer where it broke off after the mail was handed over.
        """
        mail = await blocking.run(self._pool, composed, self.config, outgoing, self._clock.now())
        session: Session | None = None
        try:
            async with asyncio.timeout(float(outgoing.timeout.total)):
                session = await self._session(outgoing.timeout)
                receipt = await session.send(mail, outgoing.timeout)
        except TimeoutError:
            assert session is None or isinstance(session, Session)
            if session is not None and session.handed:
                session.drop()
                raise NoAnswer(
                    f"{self._dialler.where} did not say within {outgoing.timeout.total:g} s whether it took the mail"
                ) from None
            if session is not None:
                session.drop()
            raise Unreachable(f"{self._dialler.where} was too slow: {outgoing.timeout.total:g} s are over") from None
        except PipeError:
            if session is not None:
                self._keep(session)
            raise
        except BaseException:
            if session is not None:
                session.drop()
            raise
        self._keep(session)
        return receipt

    # --- sessions

    async def _session(self, timeout: Timeout) -> Session:
        """One that stands and is ours: kept from the last mail, or new."""
        if self._closed:
            raise Unreachable(f"the connection {self.name} is closed")
        context = await blocking.run(self._pool, self._tls.context) if self._tls is not None else None
        password = self.config.password.reveal() if self.config.password is not None else None
        while self._idle:
            session = self._idle.pop()
            late = session.good_until < asyncio.get_running_loop().time()
            if late or session.lost or session.made_of != (context, password):
                await session.quit()
            elif await session.fresh():
                return session
            else:
                session.drop()
        return await begun(self.config, self._dialler, self._tls, timeout, self._pool)

    def _keep(self, session: Session) -> None:
        if session.lost or self._closed:
            session.drop()
            return
        loop = asyncio.get_running_loop()
        session.good_until = loop.time() + KEEP
        self._idle.append(session)
        if self._sweeper is None or self._sweeper.cancelled() or self._sweeper.when() <= loop.time():
            self._sweeper = loop.call_later(KEEP, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        late = [session for session in self._idle if session.good_until <= loop.time() + 0.01]
        self._idle = [session for session in self._idle if session not in late]
        for session in late:
            session.drop()
        self._sweeper = loop.call_later(KEEP, self._sweep) if self._idle else None
