"""What the gateway lends to its adapters: see `pipe.contract.Services`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from pipe.clock import Clock
from pipe.contract import Listening, PlainHandler, Spool, Timeout
from pipe.fates import fate
from pipe.store import notes
from pipe.store.store import Store
from web.listener import Listeners


@dataclass(slots=True)
class Lent:
    """What adapters are lent: see `pipe.contract.Services`."""

    clock: Clock
    store: Store | None
    """None where an adapter is only looked at"""
    listeners: Listeners | None = None
    default_timeout: Timeout = field(default_factory=Timeout)

    def spool(self, limit: int) -> Spool:
        """A place for an incoming body."""
        assert self.store is not None
        return self.store.spool(limit)

    def mount(
        self,
        listener: str | None,
        prefix: str,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        plain: PlainHandler | None = None,
    ) -> Callable[[], None]:
        """Serves a prefix; what it returns takes that back."""
        assert self.listeners is not None
        return self.listeners.mount(listener, prefix, handler, plain)

    def secured(self, listener: str | None) -> bool:
        """Whether only this machine, or callers with a certificate, reach a listener."""
        assert self.listeners is not None
        return self.listeners.secured(listener)

    def listening(self, listener: str | None) -> Listening:
        """Where a listener is and how it is secured."""
        assert self.listeners is not None
        return self.listeners.listening(listener)

    async def fate(self, id: str, caller: str | None) -> Mapping[str, Any] | None:
        """What became of a message, for the caller who brought it."""
        assert self.store is not None
        store = self.store
        return await self.store.read(lambda connection: fate(connection, store.loader, id, caller))

    async def noted(self, connection: str, name: str) -> Any:
        """What a connection noted."""
        assert self.store is not None
        return await self.store.read(lambda reading: notes.read(reading, connection, name))

    async def note(self, connection: str, name: str, value: Any) -> None:
        """Notes something for a connection."""
        assert self.store is not None
        await self.store.write(lambda tx: notes.keep(tx, connection, name, value))
