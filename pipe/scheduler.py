"""What time brings: retries and timers that are due, deadlines, gathers, schedules; pruning and the disk's floor."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from loguru import logger
from sqlalchemy import Connection, select

from pipe import clock_steps
from pipe.connection import LONGEST_PAUSE_S
from pipe.cron import next_due
from pipe.errors import PipeError
from pipe.stations.station import late
from pipe.store import schema
from pipe.store.schema import HELD, READY, RETRY, TIMER, UNCERTAIN
from pipe.store.statements import Statement
from pipe.store.transaction import Tx

if TYPE_CHECKING:
    from pipe.engine import Engine

AT_ONCE = 1000
LONGEST_SLEEP_S = 5.0
STEP_S = 5.0
"""a wall clock that moves by more than this against the monotonic one has stepped"""
SUSPENDED_S = 600.0
"""how long after a step nothing expires and nothing is pruned"""
_LEASE_S = 300.0
BEING_FOUND_OUT = "the gateway is finding out what became of it"
"""of an uncertain delivery that is lent to a worker; after a crash nobody has it, and it is due at once"""

_DUE = Statement(
    "SELECT (SELECT count(*) FROM (SELECT 1 FROM delivery WHERE next_at <= :now LIMIT :limit) AS due),"
    " (SELECT min(expires_at) FROM delivery WHERE expires_at IS NOT NULL AND done_at IS NULL),"
    " (SELECT min(due_at) FROM gather WHERE due_at IS NOT NULL),"
    " (SELECT min(next_at) FROM delivery WHERE next_at > :now),"
    " (SELECT min(expires_at) FROM delivery WHERE expires_at > :now AND expires_at IS NOT NULL AND done_at IS NULL),"
    " (SELECT min(due_at) FROM gather WHERE due_at > :now AND due_at IS NOT NULL)"
)
_WAKE = Statement(
    "UPDATE delivery SET state = 'ready', next_at = NULL WHERE state IN ('retry', 'timer') AND id IN"
    " (SELECT id FROM delivery WHERE next_at <= :now AND state IN ('retry', 'timer') ORDER BY next_at LIMIT :limit)"
    " RETURNING id, route, station"
)
_ASK = Statement(
    "UPDATE delivery SET next_at = :later, note = :note WHERE state = 'uncertain' AND id IN"
    " (SELECT id FROM delivery WHERE next_at <= :now AND state = 'uncertain' ORDER BY next_at LIMIT :limit)"
    " RETURNING id, route, station"
)


class Scheduler:
    """One task; sleeps until something is due."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wake = asyncio.Event()
        self._due: float = 0.0
        clock = engine.clock
        self._offset = clock.now() - clock.monotonic()
        self.suspended_until = float("-inf")
        self.steps = 0
        self._untold: list[float] = []
        """steps that the journal has not followed yet"""
        self._caught_up = False
        self._schedule: dict[tuple[str, str], float] = {}

    def due(self, at: float | None) -> None:
        """Something becomes due at `at`."""
        if at is not None and at < self._due:
            self._due = at
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._tick()
            except PipeError as error:
                logger.bind(action="scheduler_failed", error=error.text).error(
                    "what is due could not be stored; it is tried again"
                )
                self._due = self._engine.clock.now() + 1
            except Exception as error:  # boundary: without this task nothing would ever be tried again
                logger.bind(action="scheduler_broke").opt(exception=error).error(
                    "the scheduler has a defect; it goes on"
                )
                self._due = self._engine.clock.now() + 1
            pause = min(LONGEST_SLEEP_S, max(0.0, self._due - self._engine.clock.now()))
            if pause > 0:
                await self._sleep(pause)

    async def _sleep(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._engine.clock.sleep(seconds))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({sleeping, waking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()
            self._wake.clear()

    async def _tick(self) -> None:
        engine = self._engine
        now = engine.clock.now()
        self._due = now + LONGEST_SLEEP_S
        self._watch_clock(now)
        await self._follow_clock()
        engine.look_at_disk()
        due = await engine.store.read(lambda connection: _what_is_due(connection, now))
        if due.deliveries:
            await engine.store.write(self._wake_due)
        if due.expired and now >= self.suspended_until:
            await self._expire(now)
        if due.gathers:
            await engine.store.write(lambda tx: self._gathers(tx, now))
        await self._schedules(now)
        self._due = min([self._due, *([due.next_at] if due.next_at else [])])
        if due.deliveries >= AT_ONCE:
            self._due = now

    def is_over(self, deadline: float) -> bool:
        """Whether a deadline has passed, by a clock that can be believed."""
        return self._engine.clock.now() >= deadline and self.believes_clock()

    def believes_clock(self) -> bool:
        """Whether the wall clock has not stepped within the last ten minutes. Ask on the event loop only."""
        now = self._engine.clock.now()
        self._watch_clock(now)
        return now >= self.suspended_until

    def _watch_clock(self, now: float) -> None:
        offset = now - self._engine.clock.monotonic()
        step, self._offset = offset - self._offset, offset
        if abs(step) > STEP_S:
            self.steps += 1
            self.suspended_until = now + SUSPENDED_S
            self._untold.append(step)
            self._schedule.clear()
            self.due(now)
            logger.bind(action="clock_step", seconds=round(step, 1)).error(
                "the wall clock stepped: nothing expires and nothing is pruned for ten minutes"
            )

    async def _follow_clock(self) -> None:
        """Has the journal follow the steps of the clock, and at the start those that nobody saw."""
        if not self._caught_up:
            routes = self._engine.routes.values()
            pauses = [(to.config.retry or route.config.retry).max for route in routes for to in route.targets.values()]
            longest = max([LONGEST_PAUSE_S, *pauses, *(route.config.retry.max for route in routes)])
            if await self._engine.store.write(partial(clock_steps.catch_up, longest=longest)):
                logger.bind(action="clock_behind").error(
                    "the wall clock is behind what was stored: what waits begins its pause anew"
                )
            self._caught_up = True
        while self._untold:
            await self._engine.store.write(partial(clock_steps.shift, step=self._untold[0]))
            self._untold.pop(0)

    # --- units ---

    def _wake_due(self, tx: Tx) -> None:
        for row in tx.run(_WAKE, {"now": tx.now, "limit": AT_ONCE}).fetchall():
            tx.ready((row[1], row[2], row[0]))
        lent = {"now": tx.now, "later": tx.now + _LEASE_S, "note": BEING_FOUND_OUT, "limit": AT_ONCE}
        for row in tx.run(_ASK, lent).fetchall():
            tx.ready((row[1], row[2], row[0]))

    async def _expire(self, now: float) -> None:
        engine, d = self._engine, schema.delivery.c
        states = d.state.in_((READY, RETRY, HELD, TIMER, UNCERTAIN))
        works, _ = await engine.store.read(
            lambda c: engine.store.loader.works(c, d.expires_at <= now, d.done_at.is_(None), states, limit=AT_ONCE)
        )
        idle = [work for work in works if not engine.is_in_work(work)]

        def unit(tx: Tx) -> None:
            for work in idle:
                engine.outcomes.end(tx, work, late(work), [])

        if idle:
            await engine.store.write(unit)
        if len(works) == AT_ONCE:
            self._due = now

    def _gathers(self, tx: Tx, now: float) -> None:
        g = schema.gather.c
        for (gather,) in tx.execute(select(g.id).where(g.due_at <= now).limit(100)).fetchall():
            self._engine.outcomes.gathering.emit(tx, gather)

    async def _schedules(self, now: float) -> None:
        for name, route in list(self._engine.routes.items()):
            source = route.config.source
            if source.kind in ("schedule", "every") and not self._engine.is_paused(name):
                rule = source.schedule or f"every {source.every}"
                if now >= self._schedule.get((name, rule), 0.0):
                    self._schedule[name, rule] = await self._engine.store.write(
                        partial(self._fire, name=name, rule=rule)
                    )
                self._due = min(self._due, self._schedule[name, rule])

    def _fire(self, tx: Tx, name: str, rule: str) -> float:
        """Emits where the route is due; returns when it is next. What was missed at a standstill is made up once."""
        s = schema.schedule
        row = tx.execute(select(s.c.due_at).where(s.c.route == name, s.c.rule == rule)).first()
        if row is None:
            tx.execute(s.delete().where(s.c.route == name))
            due_at = next_due(rule, tx.now)
            tx.insert(s, route=name, rule=rule, due_at=due_at)
            return due_at
        due_at = next_due(rule, tx.now)
        if due_at >= row.due_at > tx.now:
            return float(row.due_at)
        tx.execute(s.update().where(s.c.route == name).values(due_at=due_at))
        if row.due_at > tx.now:
            return due_at  # it was stored when the clock was ahead
        self._engine.outcomes.begin(tx, self._engine.routes[name], {"due_at": row.due_at})
        return due_at


class _Due:
    deliveries: int
    expired: bool
    gathers: bool
    next_at: float | None


def _what_is_due(connection: Connection, now: float) -> Any:
    found = _Due()
    asked = connection.exec_driver_sql(_DUE.sql[connection.dialect.name], {"now": now, "limit": AT_ONCE})
    found.deliveries, expiry, gather_at, *later = asked.one()
    found.expired = expiry is not None and expiry <= now
    found.gathers = gather_at is not None and gather_at <= now
    found.next_at = min((at for at in later if at is not None), default=None)
    return found
