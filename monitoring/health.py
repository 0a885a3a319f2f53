"""`/live` and `/ready`: a status each and nothing more, whatever state the partners are in."""

from __future__ import annotations

from aiohttp import web
from sqlalchemy import delete

from pipe.engine import Engine
from pipe.errors import PipeError
from pipe.store.schema import control
from pipe.store.store import Store
from pipe.store.transaction import Tx

FRESH_S = 2.0
"""how long one answer of the store holds, so that asking often costs nothing"""


class Health:
    """`/live`: the loop turns. `/ready`: the store writes and there is room, whatever the partners do."""

    def __init__(self, engine: Engine, store: Store) -> None:
        self._engine, self._store = engine, store
        self._looked_at = float("-inf")
        self._writes = False

    async def live(self, request: web.Request) -> web.Response:
        """200 as long as the process can answer at all."""
        return web.Response(text="live\n")

    async def ready(self, request: web.Request) -> web.Response:
        """200 where messages can be accepted, else 503."""
        if await self.is_ready():
            return web.Response(text="ready\n")
        return web.Response(text="not ready\n", status=503, headers={"Retry-After": "5"})

    async def is_ready(self) -> bool:
        """Whether messages can be accepted; the store is asked to write, at most every two seconds."""
        engine = self._engine
        if engine.draining or not engine.running or engine.room.disk_low is not None:
            return False
        now = engine.clock.monotonic()
        if now - self._looked_at >= FRESH_S:
            self._looked_at = now
            self._writes = await self._can_write()
        return self._writes

    async def _can_write(self) -> bool:
        try:
            await self._store.write(_touch)
        except PipeError:
            return False
        return True


def _touch(tx: Tx) -> None:
    """A row is written anew: only a commit that reached the disk proves that commits do."""
    tx.execute(delete(control).where(control.c.kind == "gateway", control.c.name == "ready"))
    tx.insert(control, kind="gateway", name="ready", state="ready", at=tx.now, by="gateway", reason="")
