"""Back-pressure in numbers: what waits, and whether there is room for more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from pipe.config.models import Limits, Queue
from pipe.errors import QueueFull, StoreFull
from pipe.store.schema import FINAL, delivery
from pipe.store.writer import Committed

_ENTERS = ("accepted", "emitted", "replayed")


@dataclass(slots=True)
class Load:
    """What waits on one route: pending deliveries and the bytes of their bodies."""

    messages: int = 0
    bytes: int = 0


class Room:
    """Kept up by the commits, so that asking costs nothing."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.loads: dict[str, Load] = {}
        self.total = Load()
        self.disk_low: int | None = None
        """free bytes, where they are below the floor"""

    def reload(self, loads: Mapping[str, Load]) -> None:
        """Starts from what is in the store."""
        self.loads = dict(loads)
        self.total = Load(sum(load.messages for load in loads.values()), sum(load.bytes for load in loads.values()))

    def committed(self, committed: Committed) -> None:
        """Takes up what a commit changed."""
        for (route, name), n in committed.counts.items():
            change = n if name in _ENTERS else -n if name in FINAL else 0
            self.load(route).messages += change
            self.total.messages += change
        for route, size in committed.bytes.items():
            self.load(route).bytes += size
            self.total.bytes += size

    def load(self, route: str) -> Load:
        """What waits on a route."""
        load = self.loads.get(route)
        if load is None:
            load = self.loads[route] = Load()
        return load

    def check(self, route: str, queue: Queue, size: int) -> None:
        """Raises QueueFull or StoreFull where a message of that size may not enter."""
        load = self.load(route)
        if load.messages >= queue.messages or load.bytes + size > queue.bytes:
            raise QueueFull(
                f"{load.messages} deliveries of {load.bytes} bytes wait on this route", retry_after=5, route=route
            )
        pending = self.limits.pending
        if self.total.messages >= pending.messages or self.total.bytes + size > pending.bytes:
            raise QueueFull(
                f"{self.total.messages} deliveries of {self.total.bytes} bytes wait in the gateway", retry_after=5
            )
        if self.disk_low is not None:
            raise StoreFull(
                f"{self.disk_low} bytes are free, below `disk_floor` of {int(self.limits.disk_floor)}", retry_after=30
            )

    def for_emissions(self, route: str, queue: Queue) -> bool:
        """Whether a split may go on emitting into a route."""
        return self.load(route).messages < queue.messages and self.disk_low is None


def waiting(connection: Connection) -> dict[str, Load]:
    """What waits in the store, by route."""
    return {route: Load(n, int(size)) for route, n, size in connection.execute(_WAITING)}


_WAITING = (
    select(delivery.c.route, func.count(), func.coalesce(func.sum(delivery.c.size), 0))
    .where(delivery.c.done_at.is_(None))
    .group_by(delivery.c.route)
)
