"""What people have switched off: paused connections and routes, draining routes. It survives a restart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from pipe.errors import Draining

if TYPE_CHECKING:
    from pipe.engine import Engine

Switch = Literal["paused", "draining"]


class Switches:
    """The engine asks these before it begins anything; the rows are the operation's business."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.connections: set[str] = set()
        """paused: nothing is sent, nothing is received"""
        self.routes: set[str] = set()
        """paused: what comes in is kept, nothing is worked on"""
        self.draining: set[str] = set()
        """nothing more comes in, what is there is worked off"""

    def restore(self, rows: Iterable[Any]) -> None:
        """Takes up the rows of the table `control`."""
        for row in rows:
            if row.kind == "connection" and row.state == "paused":
                self.connections.add(row.name)
            elif row.kind == "route":
                (self.draining if row.state == "draining" else self.routes).add(row.name)

    def check_open(self, route: str, source: str | None, *, synchronous: bool) -> None:
        """Raises Draining where nothing may enter a route: it drains, its source is paused, its callers would wait."""
        if source in self.connections:
            raise Draining(f"the connection {source} is paused", retry_after=60, route=route)
        if route in self.draining:
            raise Draining(f"the route {route} takes nothing more: it is being drained", retry_after=60, route=route)
        if synchronous and route in self.routes:
            raise Draining(f"the route {route} is paused", retry_after=60, route=route)

    async def set(self, kind: str, name: str, switch: Switch | None) -> None:
        """Pauses, drains or (None) resumes, at once. What is in work ends as it began."""
        if kind == "connection":
            await self._connection(name, paused=switch is not None)
            return
        for state, names in (("paused", self.routes), ("draining", self.draining)):
            if switch == state:
                names.add(name)
            else:
                names.discard(name)
        for (route, _), station in self._engine.stations.items():
            if route == name:
                station.kick()
        self._engine.scheduler.due(0.0)

    async def _connection(self, name: str, *, paused: bool) -> None:
        connection, source = self._engine.connections.get(name), self._engine.sources.get(name)
        if paused:
            self.connections.add(name)
            if connection is not None:
                connection.pause()
            if source is not None and not source.refusable:
                await source.stop()
            return
        self.connections.discard(name)
        if connection is not None:
            connection.resume()
        if source is not None:
            source.start()
