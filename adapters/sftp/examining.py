"""Why an SFTP server cannot be used, rung by rung."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from adapters.files.examining import rights
from adapters.files.remote import Segments, shown
from adapters.http_rungs import Ladder, failed
from adapters.sftp.session import SftpSession
from adapters.sftp.signing import signed_in
from pipe.contract import Rung
from pipe.errors import HostKeyUnknown, NotAuthorised, PipeError

if TYPE_CHECKING:
    from adapters.sftp.adapter import Sftp

_PINNED = Rung("host key", "ok", "the server shows a key that is pinned")


async def climbed(adapter: Sftp, uses: Sequence[Any]) -> AsyncIterator[Rung]:
    """The rungs until one fails."""
    timeout, config, pool = adapter.patience, adapter.config, f"{adapter.name} doctor"
    async with Ladder(adapter.dialler, timeout, pool, tls=False) as ladder:
        async for rung in ladder.climbed():
            yield rung
        if ladder.sock is None:
            return
        try:
            connection = await signed_in(config, ladder.take(), adapter.where, timeout, pool)
        except PipeError as error:
            if isinstance(error, NotAuthorised):
                yield _PINNED
            yield failed("host key" if isinstance(error, HostKeyUnknown) else "sign-in", error)
            return
        session = SftpSession(connection, adapter.where, config.charset, timeout.read)
        try:
            key = connection.get_server_host_key()
            yield _PINNED if key is None else Rung("host key", "ok", f"{key.get_fingerprint()} is pinned")
            yield Rung("sign-in", "ok", f"as {config.user}, by {'key' if config.key else 'password'}")
            await session.begin(config.folder)
            async for rung in rights(session, uses, lambda at: _told(session, at)):
                yield rung
        except PipeError as error:
            yield failed("folder", error)
        finally:
            await session.close()


async def _told(session: SftpSession, at: Segments) -> Rung | None:
    """A server for reading only says so; whose the permissions of a folder are, nobody tells."""
    await session.renames(at)
    if await session.writable(at) is False:
        where = shown(at) or "the folder"
        hint = "ask the partner to give this user the right, or take files with `after: keep`"
        return Rung("rename", "fail", f"the permissions of {where} let nobody write", hint)
    return None
