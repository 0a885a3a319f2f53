"""Why a mail server cannot be used, rung by rung. No mail is handed over: MAIL FROM is taken back by RSET."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from email.headerregistry import Address
from typing import Any

from adapters.http_dialling import Dialler
from adapters.http_rungs import Ladder, certified, failed
from adapters.smtp.addresses import parsed
from adapters.smtp.config import SmtpConfig, SmtpTarget
from adapters.smtp.session import Session
from pipe import blocking
from pipe.contract import Rung, Template, Timeout
from pipe.errors import ConfigError, PipeError, TlsFailed


async def climbed(
    config: SmtpConfig, dialler: Dialler, timeout: Timeout, uses: Sequence[Any], pool: str
) -> AsyncIterator[Rung]:
    """The rungs until one fails."""
    async with Ladder(dialler, timeout, pool) as ladder:
        if config.implicit:
            async for rung in ladder.climbed():
                yield rung
            if rung.state == "fail":
                return
        # The conversation is asyncio's, so it has a connection of its own; with STARTTLS TLS comes within it.
        async with Ladder(dialler, timeout, pool, tls=False) as plain:
            way = [rung async for rung in plain.climbed()]
            for rung in way:
                if not config.implicit or rung.state == "fail":
                    yield rung
            if plain.sock is not None:
                async for rung in _conversed(config, plain, ladder, timeout, uses, pool):
                    yield rung


async def _conversed(
    config: SmtpConfig, plain: Ladder, ladder: Ladder, timeout: Timeout, uses: Sequence[Any], pool: str
) -> AsyncIterator[Rung]:
    """What the server says to us, up to MAIL FROM; `ladder` explains a certificate."""
    dialler, name, session = plain.dialler, "greeting", None
    try:
        context = await blocking.run(pool, dialler.tls.context) if dialler.tls is not None else None
        password = config.password.reveal() if config.password is not None else None
        session = Session(config, plain.take(), dialler, context, password)
        await session.greet(timeout)
        yield Rung("greeting", "ok", f"it speaks ESMTP{_limits(session)}")
        if context is not None and not config.implicit:
            name = "tls"
            await session.secure(timeout)
            yield certified(session.ssl, "tls")
        name = "sign-in"
        await session.sign_in()
        yield _signed(config)
        name = "sender"
        for sender in _senders(config, uses):
            await session.allowed(sender)
            yield Rung("sender", "ok", f"mail may be from {sender.addr_spec}")
    except TlsFailed as error:
        yield await ladder.explained(name, error)
    except PipeError as error:
        yield failed(name, error, None if isinstance(error, ConfigError) else _HINTS.get(name))
    finally:
        if session is not None:
            await session.quit()


_HINTS = {
    "greeting": "ask the server's owner whether this machine's address may connect, and whether the port is right",
    "sender": "ask the server's owner to let us send from that address, or correct `sender:`",
}


def _limits(session: Session) -> str:
    told = [f"takes {session.most} bytes"] if session.most else []
    told += ["knows SMTPUTF8"] if session.supports("smtputf8") else []
    return f", {', '.join(told)}" if told else ""


def _signed(config: SmtpConfig) -> Rung:
    if config.username is None:
        return Rung("sign-in", "ok", "none is configured")
    if not config.secure:
        text = f"as {config.username}, in clear over this machine's own network"
        return Rung("sign-in", "warn", text, "use TLS as soon as the server is not on this machine")
    return Rung("sign-in", "ok", f"as {config.username}")


def _senders(config: SmtpConfig, uses: Sequence[Any]) -> list[Address]:
    """Those that are known before data comes, each once."""
    said = [use.sender for use in uses if isinstance(use, SmtpTarget) and isinstance(use.sender, Template)]
    fixed = [config.sender, *(sender.text for sender in said if not sender.expressions)]
    return list({box.addr_spec: box for box in map(parsed, fixed)}.values())
