"""Takes up a changed configuration: what it would change, whether it may, and the change, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from loguru import logger
from sqlalchemy import Connection, func, select

from pipe.config.checked import check
from pipe.config.difference import Difference, difference
from pipe.config.models import Configuration
from pipe.config.walk import uses
from pipe.contract import Adapter
from pipe.errors import ConfigError, NoSuchTarget
from pipe.route import Route
from pipe.store import revisions, schema
from pipe.store.journal import Outcome
from pipe.store.schema import DEAD, UNCERTAIN
from pipe.store.transaction import Tx

if TYPE_CHECKING:
    from pipe.engine import Engine

Orphans = Literal["refuse", "keep", "dead"]
"""of deliveries whose station is removed: the change is refused, they wait in the store, or are dead letters"""
AT_ONCE = 500
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """Deliveries that are not done at one station."""

    route: str
    station: str
    deliveries: int
    orphaned: bool
    """the new configuration has no such station"""

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"route": self.route, "station": self.station, "deliveries": self.deliveries, "orphaned": self.orphaned}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a configuration would change."""

    difference: Difference
    reconnects: tuple[str, ...]
    """connections that are established anew; their routes wait meanwhile"""
    waiting: tuple[Waiting, ...]
    """at stations of routes that change or go"""
    tests: Mapping[str, tuple[str, ...]]
    """the tests of each route that changes or is new; none: nothing holds the change"""
    restart: tuple[str, ...]
    """what a running gateway cannot take up"""

    @property
    def orphans(self) -> tuple[Waiting, ...]:
        """What waits at stations that go."""
        return tuple(each for each in self.waiting if each.orphaned)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            **self.difference.as_json(), "reconnects": list(self.reconnects),
            "pending": [each.as_json() for each in self.waiting],
            "tests": {route: list(names) for route, names in self.tests.items()}, "restart": list(self.restart),
        }  # fmt: skip


def plan(
    old: Configuration,
    new: Configuration,
    pending: Mapping[tuple[str, str], int],
    routes: Mapping[str, Route],
    adapters: Mapping[str, type[Adapter]],
) -> Plan:
    """The plan from one configuration to another; `pending` counts deliveries, `routes` are the new ones made ready."""
    found = difference(old, new, adapters=adapters)
    moved = {*found.connections.changed, *found.connections.added}
    touched = {name for name, route in new.routes.items() if moved & {use.connection for use in uses(route)}}
    routes_changed = {*found.routes.changed, *found.routes.removed, *(touched & old.routes.keys())}
    stations = {(name, station) for name, route in routes.items() for station in route.by_station}
    waiting = tuple(
        Waiting(route, station, n, (route, station) not in stations)
        for (route, station), n in sorted(pending.items())
        if route in routes_changed or (route, station) not in stations
    )
    held = sorted({*found.routes.changed, *found.routes.added, *touched})
    tests = {name: tuple(test.name for test in new.tests if test.route == name) for name in held}
    return Plan(found, tuple(found.connections.changed), waiting, tests, ("listeners",) if found.listeners else ())


def counted(connection: Connection) -> dict[tuple[str, str], int]:
    """How many deliveries are not done, by route and station."""
    return {(route, station): n for route, station, n in connection.execute(_COUNTED)}


_COUNTED = (
    select(schema.delivery.c.route, schema.delivery.c.station, func.count())
    .where(schema.delivery.c.done_at.is_(None))
    .group_by(schema.delivery.c.route, schema.delivery.c.station)
)


class Applying:
    """Changes the configuration of a running engine; one change at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()

    async def plan(self, new: Configuration) -> Plan:
        """What `new` would change now."""
        engine = self._engine
        return plan(
            engine.configuration, new, await engine.store.read(counted), self._made(new), engine.catalogue.adapters
        )

    async def apply(self, new: Configuration, actor: str, orphans: Orphans = "refuse") -> Plan:
        """Takes up a configuration and returns what that changed.

        Raises ConfigInvalid where lint finds an error, ConfigError where deliveries would be left without a station or
        a restart is needed, and what an adapter raises; the old configuration works on in all these cases.
        """
        check(lambda: new, self._engine.catalogue.adapters).good()
        async with self._lock:
            found = await self.plan(new)
            _refuse(found, orphans)
            leaving = [
                self._engine.stations[each.route, each.station]
                for each in found.orphans
                if (each.route, each.station) in self._engine.stations
            ]
            await self._engine.apply(new, lambda: self._record(new, actor))
            logger.bind(action="configuration", revision=new.revision, actor=actor).info(
                "the configuration was taken up"
            )
            if orphans == "dead" and found.orphans:
                await self._until_idle(leaving)
                for each in found.orphans:
                    await self._bury(each)
            return found

    def _made(self, new: Configuration) -> dict[str, Route]:
        known = self._engine.catalogue
        made = {}
        for name, config in new.routes.items():
            made[name] = Route(
                config, new.revision, known.transformers, known.flows, self._engine.enriching, self._engine.store.vault
            )
        return made

    async def _record(self, new: Configuration, actor: str) -> None:
        await self._engine.store.write(lambda tx: revisions.keep(tx, new, actor))

    async def _until_idle(self, stations: list[Any]) -> None:
        """What the old stations have in work ends by itself, and its outcome counts."""
        clock = self._engine.clock
        until = clock.monotonic() + PATIENCE_S
        while not all(station.idle for station in stations) and clock.monotonic() < until:
            await clock.sleep(0.05)

    async def _bury(self, orphaned: Waiting) -> None:
        engine, d = self._engine, schema.delivery.c
        here = (d.route == orphaned.route, d.station == orphaned.station, d.done_at.is_(None))
        while True:
            works, damaged = await engine.store.read(lambda c: engine.store.loader.works(c, *here, limit=AT_ONCE))
            ending = [*works, *(work for work, _ in damaged)]
            if not ending:
                return
            error = NoSuchTarget(f"the configuration no longer has {orphaned.station} of {orphaned.route}")

            def unit(tx: Tx, ending: list[Any] = ending, error: NoSuchTarget = error) -> None:
                for work in ending:
                    outcome = Outcome(DEAD, code=error.code, note=error.text, error=error, at=tx.now, attempted=False)
                    outcome.maybe_delivered = work.state == UNCERTAIN
                    engine.outcomes.end(tx, work, outcome, [])

            await engine.store.write(unit)


def _refuse(found: Plan, orphans: Orphans) -> None:
    if found.restart:
        raise ConfigError(f"{', '.join(found.restart)} changed: a running gateway cannot take that up; restart it")
    if found.orphans and orphans == "refuse":
        named = ", ".join(f"{each.deliveries} at {each.station} of {each.route}" for each in found.orphans)
        raise ConfigError(
            f"deliveries would be left without a station: {named}; "
            "say what becomes of them: `--orphans keep` or `--orphans dead`"
        )
