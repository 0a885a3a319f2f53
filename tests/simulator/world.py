"""One gateway in its world: starts, crashes, starts again, and is looked at after every step."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from loguru import logger

from pipe.applying import Applying
from pipe.engine import Engine
from pipe.errors import ConfigError, PipeError, StoreUnavailable
from pipe.inflight import InFlight
from pipe.operations.host import Host
from tests.simulator import revisions
from tests.simulator.clients import Clients
from tests.simulator.disk import DISK, SimulatedStore, folder
from tests.simulator.loop import Crash, Endless, Names, Time, VirtualClock, VirtualLoop
from tests.simulator.partners import Outside, Services, SimulatedSource

SYNC_S = 10.0
DEFECTS = frozenset({"defect", "scheduler_broke", "source_broke", "read_failed"})


class Broken(AssertionError):
    """A promise does not hold; the text says which."""


_OPEN = "SELECT m.id FROM delivery d JOIN message m ON m.seq = d.message WHERE d.done_at IS NULL"


class _Log:
    """Where the log of this process goes; adding a sink for each schedule would cost more than the schedule."""

    def __init__(self) -> None:
        self.world: World | None = None
        logger.add(self.take, level="WARNING", format="{message}", catch=False)

    def take(self, message: Any) -> None:
        """To the world that runs now."""
        if self.world is not None:
            self.world.logged(message)


@cache
def _listen() -> _Log:
    return _Log()


class _NoMarks:
    """The in-flight file of a dead process: nobody writes it any more."""

    def enter(self, delivery: int) -> int:
        """Marks nothing."""
        return -1

    def leave(self, slot: int) -> None:
        """Frees nothing."""

    def close(self) -> None:
        """Keeps what it said at death."""


class World:
    """Everything of one schedule."""

    def __init__(self, seed: int, house: str = "all") -> None:
        self.seed, self.house = seed, house
        self.data = _prepared()
        self.time, self.names = Time(), Names()
        self.clock = VirtualClock(self.time)
        self._chance = Random(f"{seed}/pace")
        random.seed(seed)  # the pauses of retries
        self.trace: list[str] = []
        self.outside = Outside(seed, self.clock, trace=self._note)
        self.clients = Clients(self._note)
        self.revision = "first"
        self.defects: list[str] = []
        self.crashes = 0
        self.states: dict[int, str] = {}
        """of deliveries, when they were last looked at"""
        self.cut: set[str] = set()
        """messages that were not done when the process died with an attempt of theirs"""
        self.resolved: set[str] = set()
        """messages about which a person decided"""
        self.seen_wrong: list[str] = []
        self.loop: VirtualLoop
        self.store: SimulatedStore
        self.engine: Engine
        _listen().world = self
        DISK.full, DISK.fault = False, None
        self.looker = folder().looker
        self.start()

    def _note(self, text: str) -> None:
        self.trace.append(f"{self.time.monotonic:.6f} {text}")

    def logged(self, message: Any) -> None:
        """Takes up what the gateway itself calls a defect."""
        record = message.record
        if record["extra"].get("action") in DEFECTS:
            error = record["exception"].value if record["exception"] else record["extra"].get("error")
            self.defects.append(f"{record['extra']['action']}: {error!r}")

    # --- life ---

    def start(self) -> None:
        """A process on this folder. What was paused stays so, what was in work is suspect."""
        self.outside.life += 1
        self._dying = False
        self.loop = VirtualLoop(self.time, self._chance)
        self._note(f"start {self.house} {self.revision}")
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.store = SimulatedStore(self.data, url=None, clock=self.clock, new_id=self.names, threaded=False)
        await self.store.open()
        self.store.start()
        self.store.writer.on_failure = self._store_failed
        self.engine = Engine(self.store, self.clock, revisions.catalogue(), Services(self.outside))
        self.engine.sync_deadline = SYNC_S
        self.applying = Applying(self.engine)
        await self.engine.start(revisions.revision(self.house, self.revision))

    def _store_failed(self, error: StoreUnavailable) -> None:
        if not self._dying:  # else the process was killed before it could end itself
            raise Crash("the store failed")

    def die(self) -> None:
        """What kill -9 leaves: nothing more is written, nobody is answered."""
        self.crashes += 1
        self._dying = True
        self._note("dies")
        store, engine, loop = self.store, self.engine, self.loop
        died_at, wall = self.time.monotonic, self.time.wall
        marks = (self.data / "inflight").read_bytes()
        engine.running = False
        store.writer.failed = StoreUnavailable("killed")
        in_flight, engine.in_flight = engine.in_flight, _NoMarks()  # type: ignore[assignment]
        loop.lives()
        _bury(loop)
        in_flight.close()
        (self.data / "inflight").write_bytes(marks)
        store.abandon()
        loop.close()
        self.time.monotonic, self.time.wall = died_at, wall
        open_ = {known for (known,) in self.rows(_OPEN)}
        self.cut |= {row.id for row in self.outside.rows if row.life == self.outside.life and row.id in open_}
        DISK.fault = None
        if loop.unhandled:
            self.defects += [text for text in loop.unhandled if "Crash" not in text]

    def run(self, seconds: float) -> None:
        """Lets time pass; a crash on the way is followed by a start."""
        until = self.time.monotonic + seconds
        while True:
            try:
                left = until - self.time.monotonic
                self.loop.run_until_complete(asyncio.sleep(max(left, 0.0)))
            except Crash:
                self.restart()
                continue
            except Endless as error:
                raise Broken(f"not live: {error}") from error
            return

    def restart(self) -> None:
        """The process dies now and starts anew; if it dies while it starts, again."""
        while True:
            self.die()
            DISK.full = False
            try:
                self.start()
            except Crash:
                continue
            return

    def crash_in(self, steps: int) -> None:
        """The process is killed after so many callbacks of the loop."""
        self.loop.dies_in(max(1, steps))

    def end(self) -> None:
        """Takes the world down."""
        try:
            self.die()
        finally:
            _listen().world = None

    # --- what people and clients do ---

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begins something that goes on by itself."""
        self.loop.create_task(_forgiving(work))

    async def accept(self, topic: str, arrival: Any) -> Any:
        """The way of a client to the gateway."""
        await asyncio.sleep(self.loop.wait(0.002))
        source = self.engine.connections["in"].adapter
        assert isinstance(source, SimulatedSource)
        return await source.accept(topic, arrival)

    def host(self) -> Host:
        """What operations work on."""
        return Host(self.store, self.clock, "sim", None, self.engine)

    async def reload(self, name: str, orphans: Any) -> None:
        """Another revision for the running gateway."""
        await self.applying.apply(revisions.revision(self.house, name), "sim", orphans)
        self.revision = name

    def replays(self, delivery: int) -> bool:
        """Whether a person has replayed that delivery."""
        sql = "SELECT 1 FROM audit WHERE event = 'dead.replayed' AND json_extract(after, '$.delivery') = ?"
        return bool(self.rows(sql, delivery))

    # --- looking ---

    def rows(self, sql: str, *parameters: Any) -> list[Any]:
        """What is on disk now, past the gateway."""
        return self.looker.execute(sql, parameters).fetchall()


async def _forgiving(work: Coroutine[Any, Any, Any]) -> None:
    try:
        await work
    except (PipeError, ConfigError):
        return  # people are told no, too


def _bury(loop: VirtualLoop) -> None:
    """Lets all tasks of a dead process end without effect, so that none of them ends at a moment of chance later."""
    last = loop.create_task(_end(loop))
    last.add_done_callback(lambda _: loop.stop())
    while not last.done():
        # What had just ended when the process died may stop the loop once more.
        loop.run_forever()


async def _end(loop: asyncio.AbstractEventLoop) -> None:
    me = asyncio.current_task()
    while others := [task for task in asyncio.all_tasks(loop) if task is not me]:
        # In the order in which they began: asyncio keeps them in none.
        for task in sorted(others, key=lambda task: (len(task.get_name()), task.get_name())):
            task.cancel()
        await asyncio.wait(others)


@cache
def _template() -> None:
    def prepare(data: Path) -> None:
        async def make() -> None:
            store = SimulatedStore(data, url=None, clock=VirtualClock(Time()), threaded=False)
            await store.open()
            InFlight(data / "inflight").close()
            await store.close()

        loop = VirtualLoop(Time(), Random(0))
        loop.run_until_complete(make())
        loop.close()

    folder().prepare(prepare)


def _prepared() -> Path:
    _template()
    return folder().fresh()
