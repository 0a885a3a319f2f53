"""Counts what the engine tells, writes it down minute by minute, and makes quarters of an hour of old minutes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from loguru import logger
from sqlalchemy import delete, func, select

from monitoring.history.tables import KEPT, MINUTE, QUARTER, sample, turn
from monitoring.history.times import class_of, packed, unpacked
from pipe.engine import Engine
from pipe.errors import PipeError
from pipe.events import Arrived, Attempted, Event, Turned
from pipe.lasting import ended, lasting
from pipe.redact import mask
from pipe.store.schema import DEAD, EXPIRED, RETRY, UNCERTAIN
from pipe.store.transaction import Tx

S, T = sample.c, turn.c
_COUNTS = ("came", "refused", "done", "failed", "dead")
_FAILED = {RETRY, UNCERTAIN}
_DEAD = {DEAD, EXPIRED}


@dataclass(slots=True)
class Tally:
    """What was counted of a route, or of its attempts at one connection, since the last row."""

    came: int = 0
    refused: int = 0
    done: int = 0
    failed: int = 0
    dead: int = 0
    waiting: int = 0
    times: Counter[int] = field(default_factory=Counter)

    def add(self, row: Any) -> None:
        """Adds a row to it; what waits is that of the later one, which is this."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + row[name])
        self.times += unpacked([row["times"]])


Tallies = dict[tuple[str, str], Tally]


class Recorder:
    """One task. It belongs to a running gateway."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tallies: Tallies = {}
        self._turns: list[dict[str, Any]] = []
        self._rolled: int | None = None
        """up to when quarters are made"""
        self._task: asyncio.Task[None] | None = None
        engine.events.subscribe(self.saw)

    def saw(self, event: Event) -> None:
        """Takes one event up."""
        if isinstance(event, Attempted):
            tally = self._of(event.route, event.connection or "")
            if event.outcome in _FAILED:
                tally.failed += 1
            elif event.outcome in _DEAD:
                tally.dead += 1
            else:
                tally.done += 1
            tally.times[class_of(event.seconds)] += 1
        elif isinstance(event, Arrived):
            tally = self._of(event.route, "")
            if event.outcome == "accepted":
                tally.came += 1
            elif event.outcome == "refused":
                tally.refused += 1
        elif isinstance(event, Turned):
            at = self._engine.clock.now()
            self._turns.append(
                {
                    "connection": event.connection,
                    "at": at,
                    "state": event.state,
                    "reason": mask(event.reason, ()),
                    "code": event.code or None,
                }
            )

    def _of(self, route: str, connection: str) -> Tally:
        tally = self._tallies.get((route, connection))
        if tally is None:
            tally = self._tallies[route, connection] = Tally()
        return tally

    async def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(lasting("history", self._run, self._engine.clock), name="history")

    async def stop(self) -> None:
        """Writes what is counted, and no more."""
        if self._task is not None:
            await ended(self._task)
            await self._written()

    async def _run(self) -> None:
        clock = self._engine.clock
        while True:
            await clock.sleep(MINUTE - clock.now() % MINUTE)
            await self._written()

    async def _written(self) -> None:
        try:
            await self.once()
        except PipeError as error:
            # The counts wait for the next minute: nothing is lost but its sharpness.
            logger.bind(action="history", error=error.text).warning("the history could not be written")

    async def once(self) -> None:
        """Writes what was counted as the row of the minute that is ending. Raises StoreError; it is kept then."""
        engine = self._engine
        for route in engine.routes:
            if waiting := engine.room.load(route).messages:
                self._of(route, "").waiting = waiting
        tallies, self._tallies = self._tallies, {}
        turns, self._turns = self._turns, []
        at = int((engine.clock.now() - 1) // MINUTE * MINUTE)
        try:
            self._rolled = await engine.store.write(lambda tx: self._keep(tx, at, tallies, turns))
        except PipeError:
            for key, tally in self._tallies.items():
                merge(tallies, key, tally)
            self._tallies, self._turns = tallies, [*turns, *self._turns]
            raise

    def _keep(self, tx: Tx, at: int, tallies: Tallies, turns: list[dict[str, Any]]) -> int:
        for row in {(each["connection"], each["at"]): each for each in turns}.values():
            tx.execute(delete(turn).where(T.connection == row["connection"], T.at == row["at"]))
            tx.insert(turn, **row)
        put(tx, MINUTE, at, tallies)
        rolled = self._roll(tx)
        for grain, span in KEPT.items():
            tx.execute(delete(sample).where(S.grain == grain, S.at < tx.now - span))
        tx.execute(delete(turn).where(T.at < tx.now - KEPT[QUARTER]))
        return rolled

    def _roll(self, tx: Tx) -> int:
        """Makes quarters of the minutes that no quarter holds yet; returns up to when they are made."""
        until, rolled = int(tx.now // QUARTER * QUARTER), self._rolled
        if rolled is None:
            newest = tx.execute(select(func.max(S.at)).where(S.grain == QUARTER)).scalar()
            oldest = tx.execute(select(func.min(S.at)).where(S.grain == MINUTE)).scalar()
            rolled = newest + QUARTER if newest is not None else (oldest or until) // QUARTER * QUARTER
        if until <= rolled:
            return rolled
        rows = tx.execute(select(sample).where(S.grain == MINUTE, S.at >= rolled, S.at < until).order_by(S.at))
        for begins, tallies in summed(rows.mappings()).items():
            put(tx, QUARTER, begins, tallies)
        return until


def summed(rows: Iterable[Any]) -> dict[int, Tallies]:
    """Rows of minutes, the oldest first, as tallies of quarters."""
    quarters: dict[int, Tallies] = {}
    for row in rows:
        tallies = quarters.setdefault(row["at"] // QUARTER * QUARTER, {})
        tally = tallies.setdefault((row["route"], row["connection"]), Tally())
        tally.add(row)
        tally.waiting = row["waiting"]
    return quarters


def merge(into: Tallies, key: tuple[str, str], tally: Tally) -> None:
    """Adds a tally to those of the same key."""
    known = into.setdefault(key, Tally())
    for name in _COUNTS:
        setattr(known, name, getattr(known, name) + getattr(tally, name))
    known.times += tally.times
    known.waiting = tally.waiting


def put(tx: Tx, grain: int, at: int, tallies: Tallies) -> None:
    """Writes rows, adding to those that are there: a gateway that is started anew goes on in the same minute."""
    for (route, connection), counted in tallies.items():
        this = (S.grain == grain, S.at == at, S.route == route, S.connection == connection)
        # The counts themselves stay as they are: a commit that fails is tried again with them.
        tally = replace(counted, times=counted.times.copy())
        if (before := tx.execute(select(sample).where(*this)).mappings().first()) is not None:
            tally.add(before)
            tx.execute(delete(sample).where(*this))
        counts = {name: getattr(tally, name) for name in (*_COUNTS, "waiting")}
        tx.insert(sample, grain=grain, at=at, route=route, connection=connection, times=packed(tally.times), **counts)
