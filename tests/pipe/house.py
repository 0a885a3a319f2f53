"""A gateway's heart for tests: real store, engine and configuration, and partners that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from sqlalchemy import Connection, Executable, func, literal, select

from pipe.app import as_bytes
from pipe.clock import Clock
from pipe.config.loader import load
from pipe.config.models import Configuration
from pipe.contract import (
    Accepted,
    Arrival,
    ConnectionConfig,
    Door,
    Health,
    Message,
    Options,
    Outgoing,
    Receipt,
    StepFunction,
    step,
)
from pipe.engine import Catalogue, Engine
from pipe.errors import PipeError, Unreachable
from pipe.store import audit_guard, schema
from pipe.store.database import READ_LIMIT_S
from pipe.store.migrations import Migration
from pipe.store.schema import FINAL
from pipe.store.store import Store
from pipe.store.transaction import Tx
from pipe.store.writer import Committed
from pipe.testing import FakeClock, FakeServices, MemorySink, MemorySource
from pipe.testing.memory import MemoryTarget
from tests.pipe.prepared import lay_out
from transformers import TRANSFORMERS

PATIENCE_S = 30.0
Answer = Receipt | PipeError | None


def altered(statement: Executable) -> Callable[[Tx], None]:
    """A unit that alters the audit as somebody can who owns the database: it takes away what refuses that."""

    def unit(tx: Tx) -> None:
        for each in audit_guard.removal(tx.dialect):
            tx.execute_text(each)
        tx.execute(statement)

    return unit


@dataclass
class Partner:
    """Who stands behind a sink; outlives restarts of the gateway."""

    asked: list[Outgoing] = field(default_factory=list)
    """every attempt, in order"""
    taken: list[Outgoing] = field(default_factory=list)
    """those that were answered well"""
    script: list[Answer] = field(default_factory=list)
    """answers to the next attempts, one each; None is the usual one"""
    decide: Callable[[Outgoing], Answer | Awaitable[Answer]] | None = None
    """answers where the script is empty"""
    reply: Receipt = field(default_factory=lambda: Receipt(200, body={"ok": True}))
    held: asyncio.Event | None = None
    """while this is an event that is not set, no answer comes"""
    down: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def bodies(self) -> list[Any]:
        """What it took, in order."""
        return [outgoing.message.body for outgoing in self.taken]

    @property
    def ids(self) -> list[str]:
        """The ids of the messages it took."""
        return [outgoing.message.id for outgoing in self.taken]

    def hold(self) -> None:
        """From now on no answer comes."""
        self.held = asyncio.Event()

    def release(self) -> None:
        """Whoever waits is answered, and whoever comes."""
        if self.held is not None:
            self.held.set()
            self.held = None

    async def reached(self, count: int) -> None:
        """Returns once so many attempts came."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.asked) < count:
                self.changed.clear()
                await self.changed.wait()

    async def answer(self, outgoing: Outgoing) -> Receipt:
        """What the sink does."""
        if self.down:
            raise Unreachable("the partner was told to be down")
        self.asked.append(outgoing)
        self.changed.set()
        if self.held is not None:
            await self.held.wait()
        answer: Answer = None
        if self.script:
            answer = self.script.pop(0)
        elif self.decide is not None:
            decided = self.decide(outgoing)
            answer = await decided if isinstance(decided, Awaitable) else decided
        if isinstance(answer, PipeError):
            raise answer
        self.taken.append(outgoing)
        return answer or self.reply


class Services(FakeServices):
    """Knows the partners."""

    def __init__(self, clock: Clock, partners: dict[str, Partner]) -> None:
        super().__init__(clock)
        self.partners = partners


class Sink(MemorySink):
    """A memory sink whose partner outlives it; a `put` to a name that begins with `idem` may be repeated."""

    def __init__(self, name: str, config: Any, services: Any) -> None:
        super().__init__(name, config, services)
        self.partner = services.partners.setdefault(name, Partner())

    def natural(self, target: Any) -> bool:
        """By its name."""
        return str(target.put).startswith("idem")

    async def check(self) -> Health:
        """As the partner was told."""
        return Health("down", "told to be down") if self.partner.down else Health("up")

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Asks the partner."""
        receipt: Receipt = await self.partner.answer(outgoing)
        return receipt


class ValueSinkConfig(ConnectionConfig):
    """Takes values."""

    type: Literal["value_sink"] = "value_sink"


class ValueSink(Sink):
    """A sink that takes plain values, as SOAP does."""

    Config: ClassVar[type[ConnectionConfig]] = ValueSinkConfig
    Target: ClassVar[type[Options]] = MemoryTarget
    takes: ClassVar[Literal["bytes", "values"]] = "values"


class FolderConfig(ConnectionConfig):
    """Cannot be told no."""

    type: Literal["folder"] = "folder"


class Folder(MemorySource):
    """A source whose peer cannot be refused."""

    Config: ClassVar[type[ConnectionConfig]] = FolderConfig
    refusable: ClassVar[bool] = False


ADAPTERS: tuple[Any, ...] = (MemorySource, Folder, Sink, ValueSink)


T = TypeVar("T")


class BusyStore(Store):
    """The store, which also knows whether its threads have work."""

    busy = 0

    def write(self, unit: Callable[[Tx], T]) -> asyncio.Future[T]:
        """As the store does it."""
        future = super().write(unit)
        self.busy += 1
        future.add_done_callback(self._less)
        return future

    async def read(self, query: Callable[[Connection], T], limit_s: float = READ_LIMIT_S) -> T:
        """As the store does it."""
        self.busy += 1
        try:
            return await super().read(query, limit_s)
        finally:
            self.busy -= 1

    def _less(self, _: object) -> None:
        self.busy -= 1


class House:
    """One data folder, its partners, and the gateway that runs on it now."""

    def __init__(self, folder: Path, url: Callable[[], str | None], clock: Clock) -> None:
        self.folder, self.clock = folder, clock
        self.url = url()
        self.data = folder / "data"
        self.partners: dict[str, Partner] = {}
        self.flows: dict[str, StepFunction] = {}
        self.migrations: Sequence[Migration] = ()
        self.subjects: list[tuple[str, str]] = []
        self.store: BusyStore
        self.engine: Engine
        self.running = False
        self._left: list[tuple[Engine, Store]] = []
        self._committed = asyncio.Event()

    # --- life ---

    def configuration(self, text: str) -> Configuration:
        """The configuration that a text says."""
        path = self.folder / "connections.yaml"
        path.write_text("version: 1\n" + text)
        (self.folder / "a.json").write_text('{"type": "object", "required": ["a"]}')
        return load(path, adapters=_adapters(), transformers=_transformers(), flows=self._flows())

    async def open(self, clock: Clock | None = None) -> Store:
        """The store alone."""
        lay_out(self.data, self.url)
        self.store = BusyStore(self.data, url=self.url, clock=clock or self.clock)
        await self.store.open([("test", self.migrations)] if self.migrations else [])
        self.store.start()
        return self.store

    async def start(self, text: str) -> Engine:
        """A gateway on this folder."""
        configuration = self.configuration(text)
        await self.open()
        catalogue = Catalogue(_adapters(), _transformers(), self._flows(), as_bytes)
        self.engine = Engine(self.store, self.clock, catalogue, Services(self.clock, self.partners))
        self.engine.sync_deadline = 30.0
        await self.engine.start(configuration)
        inner = self.store.on_commit

        def committed(commit: Committed) -> None:
            inner(commit)
            self._committed.set()

        self.store.on_commit = committed
        self.running = True
        return self.engine

    async def reload(self, text: str) -> None:
        """Another configuration for the running gateway."""
        await self.engine.apply(self.configuration(text))

    async def stop(self) -> bool:
        """An orderly stop."""
        self.running = False
        clean = await self.engine.stop(5)
        await self.store.close()
        return clean

    async def crash(self) -> None:
        """What kill -9 leaves: nothing more is written, no task ends, the in-flight file stays as it is."""
        self.running = False
        engine = self.engine
        at_death = (self.data / "inflight").read_bytes()
        engine.running = False
        self.store.writer.failed = PipeError("killed")  # type: ignore[assignment]
        for task in (*engine._clockwork, *engine._tasks, *(source._task for source in engine.sources.values())):
            if task is not None:
                task.cancel()
        await engine.stop(0)
        await self.store.close()
        (self.data / "inflight").write_bytes(at_death)

    # --- traffic ---

    def partner(self, name: str) -> Partner:
        """Who stands behind the sink of that name."""
        return self.partners.setdefault(name, Partner())

    def door(self, route: str) -> Door:
        """The entrance of a route."""
        for source in self.engine.sources.values():
            for door in source.doors:
                if door.route == route:
                    return door
        raise AssertionError(f"no door leads to {route}")

    async def put(self, body: bytes | str, route: str = "r", **parts: Any) -> Accepted:
        """Hands in one message."""
        return await self.door(route).accept(Arrival(body.encode() if isinstance(body, str) else body, **parts))

    # --- looking ---

    async def rows(self, statement: Any) -> list[Any]:
        """The rows of a query."""
        return await self.store.read(lambda connection: list(connection.execute(statement).mappings()))

    async def count(self, table: Any, *conditions: Any) -> int:
        """How many rows there are."""
        found = await self.rows(select(func.count().label("n")).select_from(table).where(*conditions))
        return int(found[0]["n"])

    async def deliveries(self, *conditions: Any) -> list[Any]:
        """All rows of the table `delivery`, in order."""
        return await self.rows(select(schema.delivery).where(*conditions).order_by(schema.delivery.c.id))

    async def states(self, *conditions: Any) -> list[str]:
        """Their states."""
        return [row["state"] for row in await self.deliveries(*conditions)]

    async def until(self, condition: Callable[[], Awaitable[Any]]) -> Any:
        """The first true value of a condition, asked anew after each commit."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (value := await condition()):
                    self._committed.clear()
                    try:
                        async with asyncio.timeout(0.25):
                            await self._committed.wait()
                    except TimeoutError:
                        continue
                return value
        except TimeoutError:
            states = [
                (row["id"], row["route"], row["station"], row["state"], row["note"]) for row in await self.deliveries()
            ]
            raise AssertionError(f"it did not become true; deliveries are {states[:40]}") from None

    async def done(self, count: int | None = None) -> list[Any]:
        """Waits until no delivery is pending (and there are `count`); returns all of them. Time moves on meanwhile."""
        asked = 0

        async def quiet() -> list[Any] | None:
            nonlocal asked
            asked += 1
            if asked > 2 and isinstance(self.clock, FakeClock):
                await self.pass_time(1)
            # Both counts in one reading: between two, a message may be accepted that neither counts as pending.
            counted = select(func.count().label("total"), func.count(schema.delivery.c.done_at).label("ended"))
            (row,) = await self.rows(counted.select_from(schema.delivery))
            return await self.deliveries() if row["total"] == row["ended"] >= (count or 1) else None

        found: list[Any] = await self.until(quiet)
        assert count is None or len(found) == count
        return found

    async def reaches(self, *states: str) -> list[Any]:
        """Waits until the deliveries have these states, in order."""

        async def there() -> list[Any] | None:
            rows = await self.deliveries()
            return rows if [row["state"] for row in rows] == list(states) else None

        found: list[Any] = await self.until(there)
        return found

    async def pass_time(self, seconds: float) -> None:
        """Moves the clock in steps, so that what becomes due on the way is done on the way."""
        assert isinstance(self.clock, FakeClock)
        while seconds > 0:
            step_s = min(seconds, max(5.0, seconds / 20))
            await self.clock.advance(step_s)
            await self._settled()
            seconds -= step_s

    async def _settled(self) -> None:
        """Returns when the store's threads have nothing left to do: their time is real, the clock's is not."""
        quiet = 0
        while quiet < 3:
            await asyncio.sleep(0.002)
            quiet = quiet + 1 if self.store.busy == 0 else 0

    async def ledger(self) -> dict[str, int]:
        """The totals of all routes."""
        totals: dict[str, int] = {}
        for row in await self.rows(select(schema.ledger)):
            totals[row["name"]] = totals.get(row["name"], 0) + row["n"]
        return totals

    async def balances(self) -> None:
        """Fails where the books do not balance, in total or on one route."""
        delivery, book = schema.delivery.c, schema.ledger.c
        waiting = (
            select(delivery.route, literal("pending"), func.count())
            .where(delivery.done_at.is_(None))
            .group_by(delivery.route)
        )
        rows = await self.rows(
            select(book.route, book.name, book.n).union_all(waiting)
        )  # one statement sees one moment
        for route in {row["route"] for row in rows}:
            of = {row["name"]: row["n"] for row in rows if row["route"] == route}
            entered = sum(of.get(name, 0) for name in ("accepted", "emitted", "replayed"))
            ended = sum(of.get(name, 0) for name in (*FINAL, "pending"))
            assert entered == ended, f"the books of {route} do not balance: {of}"

    def _flows(self) -> dict[str, Any]:
        return {name: step(name)(function) for name, function in self.flows.items()}


@asynccontextmanager
async def opened(house: House) -> AsyncIterator[House]:
    """Ends what a test left running, and looks at the books."""
    try:
        yield house
        if house.running:
            await house.balances()
    finally:
        if house.running:
            await house.stop()
        elif hasattr(house, "store"):
            await house.store.close()


def messages(bodies: Iterable[Any]) -> list[Message]:
    """Messages for the store alone."""
    return [Message(f"m{n}", "r", body, received_at=1.0) for n, body in enumerate(bodies)]


def _adapters() -> dict[str, Any]:
    return {adapter.Config.model_fields["type"].default: adapter for adapter in ADAPTERS}


def _transformers() -> dict[str, Any]:
    return {transformer.name: transformer for transformer in TRANSFORMERS}
