"""What every adapter of files is: a source and a sink over sessions that it knows how to make."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, ClassVar, Literal

from adapters.files.keys import FilesConfig, FileSubscription, FileTarget
from adapters.files.putting import put
from adapters.files.remote import Remote
from adapters.files.sessions import Sessions
from adapters.files.taking import Taker, collide
from adapters.http_dialling import Dialler
from pipe import blocking
from pipe.contract import Doors, Health, Options, Outgoing, Receipt, Services, Timeout
from pipe.errors import NoAnswer, PipeError, Unreachable


async def dialled(dialler: Dialler, timeout: Timeout, pool: str) -> socket.socket:
    """A connected socket. Raises Unreachable, AddressForbidden."""
    seconds = float(min(timeout.connect, timeout.total))
    dialling = asyncio.ensure_future(blocking.run(pool, dialler.dial, seconds))
    try:
        # The grace is for a resolver that does not answer: it knows no time-out of ours.
        async with asyncio.timeout(seconds + 0.5):
            return await asyncio.shield(dialling)
    except (TimeoutError, asyncio.CancelledError) as error:
        dialling.add_done_callback(_close_late)
        if isinstance(error, asyncio.CancelledError):
            raise
        raise Unreachable(f"{dialler.where} could not be reached within {seconds:g} s") from None


def _close_late(dialling: asyncio.Future[socket.socket]) -> None:
    """Nobody waits for this socket any more."""
    if not dialling.cancelled() and dialling.exception() is None:
        dialling.result().close()


class FileAdapter:
    """Source and sink over a place that keeps files; a subclass says how a session with it is made."""

    Subscription: ClassVar[type[Options]] = FileSubscription
    Target: ClassVar[type[Options]] = FileTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    refusable: ClassVar[bool] = False

    def __init__(self, name: str, config: FilesConfig, services: Services) -> None:
        self.name, self._work = name, config.work
        self.patience: Timeout = config.timeout or services.default_timeout
        self._pool = f"files {name}"
        self._sessions = Sessions(name, self._dial)
        self._taker = Taker(name, config.work, self.patience, services, self._sessions)

    async def _dial(self, timeout: Timeout) -> Remote:
        """A new session. Raises a PeerError."""
        raise NotImplementedError

    def collides(self, one: FileSubscription, other: FileSubscription) -> bool:
        """Two routes that would take the same files away from one another."""
        return collide(one, other)

    def natural(self, target: Any) -> bool:
        """A file of the same name with the same content is the same file."""
        return True

    async def open(self) -> None:
        """Asks nobody; the first use does."""
        self._sessions.open()

    async def close(self) -> None:
        """Ends its sessions and gives its threads back. Safe before open, safe twice."""
        self._taker.close()
        await self._sessions.close()
        blocking.close(self._pool)

    async def check(self) -> Health:
        """Asks whether a session stands, or makes one. Never raises."""
        try:
            async with self._sessions.one(self.patience) as remote:
                await remote.alive()
        except PipeError as error:
            return Health("down", error.text, error.code)
        troubles = "; ".join(self.troubles())
        return Health("degraded", troubles, "troubles") if troubles else Health("up")

    def troubles(self) -> list[str]:
        """Files that cannot be had or cannot become messages, folders that are not there."""
        return list(self._taker.troubles)

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Puts one file there whole, or not at all. Safe to repeat. Raises the PipeError that fits."""
        begun = False
        try:
            async with asyncio.timeout(outgoing.timeout.total), self._sessions.one(outgoing.timeout) as remote:
                begun = True
                return await put(remote, outgoing, self._work, self._pool)
        except TimeoutError:
            error = NoAnswer if begun else Unreachable
            raise error(f"{self.name} did not take the file within {outgoing.timeout.total:g} s") from None

    async def run(self, doors: Doors) -> None:
        """Looks for every door until cancelled. Raises the PeerError of a partner that is lost."""
        await self._taker.run(doors)
