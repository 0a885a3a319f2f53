"""Why an FTP server cannot be used, rung by rung."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from adapters.files.examining import rights
from adapters.files.remote import Segments, shown
from adapters.ftp.session import FtpSession
from adapters.http_rungs import Ladder, certified, failed, ours
from pipe.contract import Rung
from pipe.errors import PipeError, TlsFailed

if TYPE_CHECKING:
    from adapters.ftp.adapter import Ftp


async def climbed(adapter: Ftp, uses: Sequence[Any]) -> AsyncIterator[Rung]:
    """The rungs until one fails."""
    timeout, config = adapter.patience, adapter.config
    async with Ladder(adapter.dialler, timeout, f"{adapter.name} doctor", tls=False) as ladder:
        async for rung in ladder.climbed():
            yield rung
        if ladder.sock is None:
            return
        for certificate in adapter.certificates():
            yield ours(certificate)  # nothing was said yet, so no other one is known
        name, session = "greeting", adapter.session(timeout)
        try:
            await session.greet(ladder.take(), config.mode, adapter.tls)
            if session.secured is not None:
                yield certified(session.secured)
            name = "sign-in"
            await adapter.sign_in(session)
            yield Rung("sign-in", "ok", f"as {config.user}, in {session.base or '/'}")
            if config.mode == "none":
                hint = "ask the partner for TLS and write `tls: explicit`"
                yield Rung("in clear", "warn", "password and files pass without TLS", hint)
            async for rung in rights(session, uses, lambda at: _told(session, at)):
                yield rung
        except TlsFailed as error:
            yield await ladder.explained("tls", error)
        except PipeError as error:
            yield failed(name, error)
        finally:
            await session.close()


async def _told(session: FtpSession, at: Segments) -> Rung | None:
    where = shown(at) or "the folder"
    letters = await session.may(at)
    if letters is None:
        if not at:
            return None
        await session.renames(at)
        return Rung("rename", "ok", f"the server would let us rename {where} itself, so files in it too")
    # c: make files. d: delete, on a file. f: rename, on a file. m: make folders. p: delete files in it.
    missing = [word for letter, word in (("c", "make files"), ("m", "make folders")) if letter not in letters]
    if missing:
        hint = "ask the partner to give this user the right, or take files with `after: keep`"
        return Rung("rename", "fail", f"in {where} we may not {' nor '.join(missing)}", hint)
    return Rung("rename", "ok", f"in {where} we may make files and folders")
