"""Looks again and again, writes down what changed, and hands what is to be told to the routes that tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson
from loguru import logger
from sqlalchemy import Connection, select

from monitoring.alerts.book import Alert, Book, Silence, heard, restored, summary
from monitoring.alerts.listeners import Nobody, People, configured, tell, wants
from monitoring.alerts.looking import GATEWAY, Looker
from monitoring.alerts.tables import alert as table
from monitoring.alerts.tables import silence
from pipe import saying
from pipe.config.alerts import Listener
from pipe.engine import Engine
from pipe.errors import PipeError, StoreError
from pipe.lasting import ended
from pipe.operations.host import Host
from pipe.store.transaction import Tx

UNTOLD_S = 30 * 86400.0
"""how long after its end an alert is still told to be over"""
PATIENCE_S = 30.0
"""that the emergency's program may take"""
_KEPT = tuple(column.name for column in table.columns)
_PEOPLES = {"acked_at", "acked_by", "note"}
"""what only people write"""


class Alarms:
    """One task. It belongs to a running gateway."""

    def __init__(
        self,
        engine: Engine,
        host: Callable[[], Host],
        turned: Callable[[Alert], None] = lambda alert: None,
        drift: Callable[[], Mapping[str, tuple[str, str]]] = dict,
        people: People | None = None,
    ) -> None:
        """`turned` hears of each that fires, and of each that is over; `drift` tells what has changed at whom.

        `people` are those who subscribed.
        """
        self._engine, self._turned, self._people = engine, turned, people or Nobody()
        self._looker = Looker(engine, host, drift)
        self._book = Book()
        self._unwritten: dict[str, Alert] = {}
        """what changed and is not in the store yet"""
        self._task: asyncio.Task[None] | None = None
        self._knocking: asyncio.Task[None] | None = None
        self._knocked = False
        """whether the emergency's program was run since the store last worked"""

    @property
    def open(self) -> list[Alert]:
        """Those that are not over, and those of whose end nobody has heard."""
        return list(self._book.open.values())

    async def start(self) -> None:
        """Goes on with the alerts that were open when the gateway stopped."""
        now = self._engine.clock.now()
        self._book = Book(await self._engine.store.read(lambda connection: _open(connection, now)))
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def stop(self) -> None:
        """Looks no more; lets the emergency's program end."""
        await ended(self._task)
        if self._knocking is not None:
            await asyncio.gather(self._knocking, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.once()
            except StoreError as error:
                self.store_failed(error)
            except PipeError as error:
                logger.bind(action="alerts", error=error.text).warning("the gateway could not be looked at")
            except Exception as error:  # boundary: without this task nobody would hear of anything
                logger.bind(action="alerts").opt(exception=error).error("looking for alerts has a defect; it goes on")
            await self._engine.clock.sleep(self._engine.configuration.alerts.every)

    async def once(self) -> None:
        """One look and all that follows from it, in one transaction. Raises StoreError; then it follows next time."""
        engine, new_id = self._engine, self._engine.store.new_id
        rules, now = engine.configuration.alerts, engine.clock.now()
        found = await self._looker.look(rules, self._book.open)
        self._unwritten |= {each.id: each for each in self._book.turn(found, now, rules, new_id)}
        configuration = engine.configuration
        silences, cared, people = await engine.store.read(
            lambda reading: (
                _silences(reading, now), _cared_for(reading), self._people.listeners(reading, configuration, now)
            )
        )  # fmt: skip
        self._book.care(cared)
        listeners = {each.name: each for each in (*configured(configuration), *people)}
        telling = {}
        for name, listener in listeners.items():
            if listener.hears(now):
                wanted = partial(wants, listener, configuration=configuration)
                chosen = self._book.to_tell(name, now, rules, silences, wanted)
                if chosen:
                    telling[name] = chosen
        told = {each.id: each for chosen in telling.values() for each in chosen}
        if self._unwritten or told:
            rows = [_row(each, telling, now) for each in (self._unwritten | told).values()]
            messages = [(listeners[name], list(chosen)) for name, chosen in telling.items()]
            await engine.store.write(partial(self._keep, rows=rows, messages=messages))
            for each in self._unwritten.values():
                if each.fired_at is not None and now in (each.fired_at, each.ended_at):
                    self._turned(each)
            self._unwritten.clear()
            self._book.mark(telling, now)
            self._knocked = False
        self._book.settle(listeners)

    def _keep(self, tx: Tx, rows: Sequence[dict[str, Any]], messages: Sequence[tuple[Listener, list[Alert]]]) -> None:
        for row in rows:
            this = table.c.id == row["id"]
            if row["fired_at"] is None and row["ended_at"] is not None:
                tx.execute(table.delete().where(this))
            elif tx.execute(table.update().where(this).values(**row).returning(table.c.id)).first() is None:
                tx.insert(table, **row)
        for listener, alerts in messages:
            if listener.route in self._engine.routes:
                tell(tx, self._engine.outcomes, self._people, listener, alerts)
        tx.execute(table.delete().where(table.c.ended_at < tx.now - self._engine.configuration.retention.metadata))

    def store_failed(self, error: PipeError) -> None:
        """What no route can tell, as the store takes nothing: runs the program that is configured for it, once."""
        command = self._engine.configuration.alerts.emergency
        if self._knocked or not command:
            return
        self._knocked = True
        text = f"the store fails: {error.text}"
        now = self._engine.clock.now()
        alert = Alert(
            "emergency",
            "disk",
            GATEWAY,
            "critical",
            text,
            f"сховище не працює: {saying.because(error.code, error.text, 'uk')}",
            now,
            now,
        )
        self._knocking = asyncio.create_task(_run_program(command, summary([alert.told()])), name="emergency")


def _row(alert: Alert, telling: Mapping[str, Sequence[Alert]], now: float) -> dict[str, Any]:
    """As it is kept once those that hear of it now have heard."""
    fields = asdict(alert)
    row = {name: fields[name] for name in _KEPT if name not in _PEOPLES}
    hear = [to for to, alerts in telling.items() if alert in alerts]
    known = alert.heard | {to: heard(alert, to, now) for to in hear}
    if hear:
        row["told_at" if alert.ended_at is None else "cleared_at"] = now
    return {**row, "heard": orjson.dumps(known).decode()}


def _open(connection: Connection, now: float) -> list[Alert]:
    """What is not over, and what is over while nobody has heard so."""
    c = table.c
    # Some may have heard of its end and others not: those who have are not told again.
    lately = c.told_at.is_not(None) & (c.ended_at >= now - UNTOLD_S)
    found = [
        restored(row, now) for row in connection.execute(select(table).where(c.ended_at.is_(None) | lately)).mappings()
    ]
    return [
        each for each in found if each.ended_at is None or any(cleared is None for _, cleared in each.heard.values())
    ]


def _silences(connection: Connection, now: float) -> list[Silence]:
    s = silence.c
    rows = connection.execute(select(s.rule, s.subject, s.until).where(s.until > now))
    return [Silence(*row) for row in rows]


def _cared_for(connection: Connection) -> dict[str, tuple[float, str, str | None]]:
    """What people acknowledged of what is not over, by id: when, who, and the note."""
    c = table.c
    query = select(c.id, c.acked_at, c.acked_by, c.note).where(c.ended_at.is_(None), c.acked_at.is_not(None))
    return {row.id: (row.acked_at, row.acked_by, row.note) for row in connection.execute(query)}


async def _run_program(command: Sequence[str], body: dict[str, Any]) -> None:
    problem: str | None = None
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await process.communicate(orjson.dumps(body))
        except TimeoutError:
            problem = f"did not end within {PATIENCE_S:g} s"
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        else:
            problem = f"ended with {process.returncode}" if process.returncode else None
    except OSError as error:
        problem = f"cannot be run: {error.strerror}"
    if problem is not None:
        logger.bind(action="emergency", program=command[0], problem=problem).critical(
            "the program of `alerts: emergency:` did not do its work"
        )
