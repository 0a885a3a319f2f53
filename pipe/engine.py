"""The engine: keeps routes, connections, stations and sources together, and nothing else.

A revision of the configuration is taken up in one step (`apply`): work that has begun finishes on what it began with,
everything else finds the new routes and connections.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar

from loguru import logger
from sqlalchemy import bindparam, select, update

from pipe.answering import Answering
from pipe.clock import Clock
from pipe.config.models import Configuration, ConnectionSpec
from pipe.confirming import Confirming
from pipe.connection import Connection
from pipe.contract import Adapter, FlowStep, Message, Services, Source, Timeout, Transformer
from pipe.door import RouteDoor
from pipe.enriching import Enriching
from pipe.errors import ConfigError, Draining, PipeError, Poison, StoreError
from pipe.events import Events
from pipe.inflight import InFlight
from pipe.lasting import lasting
from pipe.outcomes import Outcomes, listeners_of
from pipe.prepared import Prepared
from pipe.room import Room, waiting
from pipe.route import GATHER, Route
from pipe.sampling import Sampling
from pipe.scheduler import BEING_FOUND_OUT, Scheduler
from pipe.sources import RunningSource
from pipe.stations.flow import FlowStation, GatewayTransaction
from pipe.stations.internal import EndStation, RouteStation
from pipe.stations.split import SplitStation
from pipe.stations.station import Station
from pipe.stations.target import TargetStation
from pipe.steps.pipeline import StepStopped
from pipe.store import journal, schema
from pipe.store.journal import Outcome, Work
from pipe.store.schema import ANSWERED, ANSWERING, DEAD, READY, UNCERTAIN
from pipe.store.statements import Statement
from pipe.store.store import Store
from pipe.store.transaction import Tx
from pipe.store.writer import Committed
from pipe.switches import Switches
from pipe.upkeep import Upkeep

CRASHES = 3
PATIENCE_S = 30.0
SPLITS_AT_ONCE = 4
_READY = (
    select(schema.delivery.c.id)
    .where(
        schema.delivery.c.route == bindparam("route"),
        schema.delivery.c.station == bindparam("station"),
        schema.delivery.c.state == READY,
        schema.delivery.c.done_at.is_(None),
    )
    .order_by(schema.delivery.c.id)
    .limit(bindparam("most"))
)
_SIZES = select(schema.delivery.c.id, schema.delivery.c.size).where(
    schema.delivery.c.id.in_(bindparam("numbers", expanding=True))
)
_POISONOUS = select(schema.delivery.c.id).where(
    schema.delivery.c.crashes >= CRASHES, schema.delivery.c.done_at.is_(None)
)
_UNLENT = Statement(
    "UPDATE delivery SET next_at = :now WHERE route = :route AND station = :station AND state = 'uncertain'"
    " AND done_at IS NULL AND next_at > :now AND note = :note"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the composition root puts in."""

    adapters: Mapping[str, type[Adapter]]
    transformers: Mapping[str, type[Transformer]]
    flows: Mapping[str, FlowStep]
    as_bytes: Callable[[Message], Message]
    """plain values become JSON, bytes stay"""


class Engine:
    """Created once in a process, on its loop."""

    def __init__(self, store: Store, clock: Clock, catalogue: Catalogue, services: Services) -> None:
        self.store, self.clock, self.catalogue, self._services = store, clock, catalogue, services
        self.as_bytes = catalogue.as_bytes
        self.events = Events()
        self.configuration = Configuration()
        self.routes: dict[str, Route] = {}
        self.connections: dict[str, Connection] = {}
        self.stations: dict[tuple[str, str], Station] = {}
        self.sources: dict[str, RunningSource] = {}
        self.switches = Switches(self)
        self.room = Room(self.configuration.limits)
        self.outcomes = Outcomes(store, self.configuration.limits.hops)
        self.answering, self.confirming, self.enriching = Answering(self), Confirming(self), Enriching(self)
        self.scheduler, self.upkeep = Scheduler(self), Upkeep(self)
        self.prepared = Prepared()
        self.sampling = Sampling(clock.monotonic, self._sample_pause)
        self.in_flight = InFlight(store.data / "inflight")
        self.running = False
        self.draining = False
        self.sync_deadline = 30.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._clockwork: list[asyncio.Task[None]] = []

    # --- life ---

    async def start(self, configuration: Configuration) -> None:
        """Recovers what the process before left behind, then receives and works."""
        self.store.on_commit = self._committed
        crashed = self.in_flight.left_over
        await self.store.write(lambda tx: _recover(tx, crashed, configuration))
        self.room.reload(await self.store.read(waiting, 60.0))
        self.switches.restore(await self.store.read(lambda c: c.execute(select(schema.control)).fetchall()))
        await self.apply(configuration)
        await self._bury_poison()
        self.running = True
        self.kick()
        self._clockwork = [
            asyncio.create_task(self.scheduler.run(), name="scheduler"),
            asyncio.create_task(lasting("upkeep", self.upkeep.run, self.clock), name="upkeep"),
        ]

    async def stop(self, grace_s: float = PATIENCE_S) -> bool:
        """Stops receiving, lets work in progress end, closes everything. True where all of it ended in time."""
        self.draining = True
        await asyncio.gather(*(source.stop() for source in self.sources.values()))
        self.running = False
        clean = await self._quiet(grace_s)
        for task in self._clockwork:
            task.cancel()
        await asyncio.gather(*self._clockwork, return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self.connections.values()), return_exceptions=True)
        # What is cut off by an orderly stop is no suspect.
        self.in_flight.close()
        return clean

    async def _quiet(self, grace_s: float) -> bool:
        """Waits for what is in work, by the loop's time: patience with the machine is no matter of messages' clock."""
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)
        return not self._tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a worker as long as the engine lives."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def persist(self, unit: Callable[[Tx], T]) -> T:
        """Writes what must not be lost, as it tells of what has happened: tried again while the store has no room."""
        while True:
            try:
                return await self.store.write(unit)
            except StoreError:
                if self.store.writer.failed is not None or not self.running:
                    raise
                await self.clock.sleep(1)

    async def act(self, unit: Callable[[GatewayTransaction], T], actor: str) -> T:
        """Runs a unit of work that may do what a flow's step may: pages and programs act on flows so."""
        return await self.store.write(lambda tx: unit(GatewayTransaction(tx, self, actor)))

    def kick(self) -> None:
        """Starts whatever can be worked on."""
        for station in self.stations.values():
            station.kick()

    # --- configuration ---

    async def apply(self, configuration: Configuration, record: Callable[[], Awaitable[None]] | None = None) -> None:
        """Takes up a checked configuration, in one step or not at all.

        `record` writes down that it is taken up, when all is ready and nothing is changed yet. Raises where an adapter
        cannot be made or the record cannot be written; then everything is as before.
        """
        made: dict[str, Connection] = {}
        try:
            for name, spec in configuration.connections.items():
                if not self._unchanged(spec):
                    made[name] = self._made(spec)
            routes = {
                name: Route(
                    config,
                    configuration.revision,
                    self.catalogue.transformers,
                    self.catalogue.flows,
                    self.enriching,
                    self.store.vault,
                )
                for name, config in configuration.routes.items()
            }
            await asyncio.gather(*(connection.open() for connection in made.values()))
            if record is not None:
                await record()
        except BaseException:
            await asyncio.gather(*(connection.close() for connection in made.values()), return_exceptions=True)
            raise
        kept = {name: self.connections[name] for name in configuration.connections if name not in made}
        retired = [connection for name, connection in self.connections.items() if kept.get(name) is not connection]
        self.configuration, self.routes, self.connections = configuration, routes, {**kept, **made}
        self.outcomes.routes, self.outcomes.listeners = routes, listeners_of(configuration)
        self.room.limits, self.outcomes.most_hops = configuration.limits, configuration.limits.hops
        self._new_stations()
        await self._new_sources(retired)
        for connection in retired:
            # What is being sent may end; what hangs longer than any attempt may is cut off.
            self.spawn(connection.retire(PATIENCE_S * 2))
        self.kick()
        self.scheduler.due(0.0)

    def _unchanged(self, spec: ConnectionSpec) -> bool:
        before = self.configuration.connections.get(spec.name)
        return (
            before is not None
            and before.type == spec.type
            and before.config == spec.config
            and spec.name in self.connections
        )

    def _made(self, spec: ConnectionSpec) -> Connection:
        adapter = self.catalogue.adapters[spec.type](spec.name, spec.config, self._services)
        connection = Connection(spec.name, adapter, spec.config, self.clock, self.events)
        if spec.name in self.switches.connections:
            connection.pause()
        return connection

    def _new_stations(self) -> None:
        """Stations are made anew; workers of the old ones finish what they have begun."""
        old, self.stations = self.stations, {}
        for name, route in self.routes.items():
            for stage in route.stages:
                for station in stage.stations:
                    self.stations[name, station] = self._station(route, station)
        for key, before in old.items():
            before.retire()
            successor = self.stations.get(key)
            if successor is not None:
                successor.inherit(before)

    def _station(self, route: Route, name: str) -> Station:
        stage, concurrency = route.by_station[name], route.config.concurrency
        if stage.flow is not None:
            return FlowStation(self, route, name, concurrency)
        if stage.split is not None:
            return SplitStation(self, route, name, SPLITS_AT_ONCE)
        target = route.targets.get(name)
        if target is None:
            return EndStation(self, route, name, concurrency)
        if target.config.kind == "route":
            return RouteStation(self, route, name, concurrency)
        if target.config.connection is None:
            raise ConfigError(f"{target.config.place}: no channel of a company is served here", route=route.name)
        return TargetStation(self, route, name, concurrency, self.connections[target.config.connection])

    async def _new_sources(self, retired: list[Connection]) -> None:
        gone = [name for name, source in self.sources.items() if source.connection in retired or not self._doors(name)]
        await asyncio.gather(*(self.sources.pop(name).stop() for name in gone))
        for name, connection in self.connections.items():
            doors = self._doors(name)
            if not doors:
                continue
            if name not in self.sources:
                self.sources[name] = RunningSource(self, connection)
            self.sources[name].doors.replace(doors)
            self.sources[name].start()

    def _doors(self, connection: str) -> tuple[RouteDoor, ...]:
        adapter = self.connections[connection].adapter if connection in self.connections else None
        if not isinstance(adapter, Source):
            return ()
        routes = [name for name, route in self.routes.items() if route.config.source.connection == connection]
        return tuple(RouteDoor(self, name, refusable=adapter.refusable) for name in routes)

    # --- commits ---

    def _committed(self, committed: Committed) -> None:
        self.room.committed(committed)
        for work in committed.ready:
            if isinstance(work, Work):
                station = self.stations.get((work.route, work.station))
                if station is not None:
                    station.push(work)
            else:
                route, name, delivery = work
                station = self.stations.get((route, name))
                if station is not None:
                    station.want(delivery)
        self.scheduler.due(committed.due)

    async def load(
        self, route: str, station: str, owned: set[int], wanted: set[int], limit: int, most_bytes: int
    ) -> tuple[list[Work], bool, set[int]]:
        """Ready deliveries of a station that are not in memory, whether more may be, and those wanted that are left.

        The bodies together have at most so many bytes, or there is one. Damaged deliveries are buried.
        """
        known = set(owned)
        oldest = {"route": route, "station": station, "most": limit + len(known) + 1}

        def query(connection: Any) -> Any:
            found = [number for (number,) in connection.execute(_READY, oldest) if number not in known]
            asked = [*sorted(wanted), *found[:limit]]
            if not asked:
                return [], [], False, wanted
            chosen = _fitting(
                asked, {row.id: row.size for row in connection.execute(_SIZES, {"numbers": asked})}, most_bytes
            )
            more = len(found) > limit or len(chosen) < len(asked)
            return (*self.store.loader.open_works(connection, chosen), more, wanted.difference(chosen))

        works, damaged, more, left = await self.store.read(query)
        for work, error in damaged:
            logger.bind(action="row_damaged", message=work.message.id, route=route).critical(
                "a stored message is damaged: it is kept aside and not delivered"
            )
            outcome = Outcome(DEAD, code=error.code, note=error.text, error=error, at=self.clock.now(), attempted=False)
            await self.store.write(partial(self.outcomes.end, work=work, outcome=outcome, taps=[]))
        return works, more, left

    def _sample_pause(self, connection: str) -> float | None:
        known = self.connections.get(connection)
        samples = known.config.drift and known.config.drift.samples if known is not None else False
        return float(samples.every) if samples else None

    # --- what others ask ---

    @property
    def at_work(self) -> int:
        """How many tasks work now."""
        return len(self._tasks)

    def is_paused(self, route: str) -> bool:
        """Whether a person paused the route."""
        return route in self.switches.routes

    def is_in_work(self, work: Work) -> bool:
        """Whether an attempt for this delivery may be under way."""
        station = self.stations.get((work.route, work.station))
        return station is not None and station.is_in_work(work.id)

    def timeout_of(self, connection: Connection, expires_at: float | None) -> Timeout:
        """The time limits of an attempt; none reaches beyond the deadline."""
        timeout = connection.config.timeout or self.configuration.defaults.timeout
        if expires_at is None:
            return timeout
        left = max(0.05, expires_at - self.clock.now())
        if left >= timeout.total:
            return timeout
        return timeout.model_copy(update={"total": type(timeout.total)(left)})

    async def room_for_emissions(self, route: Route) -> None:
        """Returns when a split may go on."""
        while not self.room.for_emissions(route.name, route.config.queue):
            if not self.running:
                raise Draining
            await self.clock.sleep(0.05)

    def buried(self, error: PipeError, stop: StepStopped | None) -> Outcome:
        """The outcome of what a peer sent and the door would have refused."""
        return Outcome(
            DEAD, code=error.code, note=error.text, error=error, at=self.clock.now(), attempted=False,
            step=stop.step.path if stop else None,
            place=str(stop.step.place) if stop else None,
            body_at_step=stop.body if stop else None,
        )  # fmt: skip

    def look_at_disk(self) -> None:
        """Takes up whether the disk is below its floor."""
        free = self.store.free_bytes()
        low = free if free < self.room.limits.disk_floor else None
        if (low is None) != (self.room.disk_low is None):
            logger.bind(action="disk_floor", free=free).log(
                "ERROR" if low is not None else "INFO", "the disk crossed its floor"
            )
        self.room.disk_low = low

    # --- recovery ---

    async def _bury_poison(self) -> None:
        poisonous = await self.store.read(lambda c: [number for (number,) in c.execute(_POISONOUS)])
        works, _ = await self.store.read(lambda c: self.store.loader.open_works(c, poisonous))
        for work in works:
            error = Poison(f"the process died {work.crashes} times while it worked on this message")
            outcome = Outcome(
                DEAD, code=error.code, note=error.text, error=error, at=self.clock.now(), maybe_delivered=True
            )
            await self.store.write(partial(self.outcomes.end, work=work, outcome=outcome, taps=[]))


def _fitting(numbers: list[int], sizes: Mapping[int, int], most_bytes: int) -> list[int]:
    """The first of them, as many as have so many bytes together, and at least one."""
    so_far = list(accumulate(sizes.get(number, 0) for number in numbers))
    return numbers[: max(1, bisect_right(so_far, most_bytes))]


def _recover(tx: Tx, crashed: list[int], configuration: Configuration) -> None:
    d = schema.delivery
    undone = select(d.c.id, d.c.message, d.c.route, d.c.station, d.c.order_key).where(
        d.c.state == ANSWERING, d.c.done_at.is_(None), d.c.station.startswith("flow:")
    )
    for row in tx.execute(undone).fetchall():
        # A flow happens in its transaction or not at all: its caller may ask again with the same key.
        note = "the gateway stopped before the flow ran: nothing was done"
        tx.execute(
            update(d).where(d.c.id == row.id).values(state=ANSWERED, done_at=tx.now, code="PIPE-4004", note=note)
        )
        tx.execute(schema.idempotency.delete().where(schema.idempotency.c.message == row.message))
        tx.count(row.route, ANSWERED)
        if row.order_key is not None:
            journal.give_way(tx, row.route, row.station, row.order_key)
    note = "the gateway stopped while it waited for the partner's answer"
    tx.execute(
        update(d)
        .where(d.c.state == ANSWERING, d.c.done_at.is_(None))
        .values(state=UNCERTAIN, code="PIPE-6002", note=note)
    )
    for name, route in configuration.routes.items():
        gathered = [f"{GATHER}{target.key}" for target in route.gather.to] if route.gather else []
        for station in (*(target.key for target in route.to), *gathered):
            tx.run(_UNLENT, {"now": tx.now, "route": name, "station": station, "note": BEING_FOUND_OUT})
        for target in route.to[:1] if route.reply.mode == "sync" else ():
            if target.on_uncertain is not None:
                left = (
                    d.c.route == name,
                    d.c.station == target.key,
                    d.c.state == UNCERTAIN,
                    d.c.next_at.is_(None),
                    d.c.cursor == 0,
                )
                tx.execute(update(d).where(*left).values(next_at=tx.now + target.on_uncertain.confirm.after))
    for delivery in crashed:
        tx.execute(update(d).where(d.c.id == delivery, d.c.done_at.is_(None)).values(crashes=d.c.crashes + 1))
