"""Gathers what happens for a second, keeps it in one unit, and hands it to whoever is to hear of it.

What is alike within a second is one line with a number, so that a flood of refusals is a handful of lines. Watching
costs the traffic nothing but a look at a dictionary.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from loguru import logger
from sqlalchemy import delete
from yarl import URL

from monitoring.alerts.book import Alert
from monitoring.events.line import Line
from monitoring.events.tables import event as table
from pipe.config.events import EventKind
from pipe.config.events import EventLog as Wanted
from pipe.engine import Engine
from pipe.errors import PipeError
from pipe.events import Attempted, Event, Turned
from pipe.lasting import ended, lasting
from pipe.redact import mask
from pipe.store.schema import DEAD, EXPIRED, RETRY, UNCERTAIN
from pipe.store.transaction import Tx

EVERY_S = 1.0
TIDIED_EVERY_S = 3600.0
MOST = 1000
"""lines of one second; what is beyond is counted in one"""
GATEWAY = "gateway"
_OUTCOMES: dict[str, EventKind] = {DEAD: "dead", EXPIRED: "dead", UNCERTAIN: "uncertain", RETRY: "retry"}


class EventLog:
    """One task. It belongs to a running gateway."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lines: dict[tuple[str, ...], Line] = {}
        self._unwritten: list[Line] = []
        """what the store refused; it is kept for the next time"""
        self._told_of: set[str] = set()
        """places that could not be written to, and were said so"""
        self._tidied_at = 0.0
        self._task: asyncio.Task[None] | None = None
        engine.events.subscribe(self.saw)

    # --- what happens ---

    def saw(self, event: Event) -> None:
        """Takes one event of the engine up."""
        if isinstance(event, Turned):
            self.note("connection", event.connection, event.state, text=event.reason or None)
        elif isinstance(event, Attempted):
            kind = _OUTCOMES.get(event.outcome)
            if kind is not None:
                text = f"at {event.connection or event.station}"
                self.note(kind, event.route, event.outcome, code=event.code, text=text, message=event.message)
        elif event.outcome == "refused":
            self.note("refused", event.route, "refused", code=event.code)

    def note(
        self, kind: EventKind, subject: str, event: str, *, code: str | None = None, text: str | None = None,
        message: str | None = None,
    ) -> None:  # fmt: skip
        """Adds an event, if it is of a kind that is kept."""
        if kind not in self._wanted.which:
            return
        # A reason may hold anything; what happened alike is one line, whatever words it came with.
        at = (kind, subject, event, code or "")
        line = self._lines.get(at)
        if line is not None:
            line.n += 1
        elif len(self._lines) < MOST:
            self._lines[at] = Line(self._engine.clock.now(), kind, subject, event, code, mask(text), message)

    def alert(self, alert: Alert) -> None:
        """An alert that fires, or is over."""
        self.note("alert", alert.subject, alert.state, code=alert.rule, text=alert.text)

    @property
    def _wanted(self) -> Wanted:
        return self._engine.configuration.events

    # --- life ---

    async def start(self) -> None:
        """Begins, with the start itself."""
        self.note("gateway", GATEWAY, "started", text=f"configuration {self._engine.configuration.revision}")
        self._task = asyncio.create_task(lasting("events", self._run, self._engine.clock), name="events")

    async def stop(self) -> None:
        """Writes down what is left, and ends."""
        if self._task is None:
            return
        await ended(self._task)
        self.note("gateway", GATEWAY, "stopping")
        await self._try()

    async def _run(self) -> None:
        while True:
            await self._engine.clock.sleep(EVERY_S)
            await self._try()

    async def _try(self) -> None:
        try:
            await self.once()
        except PipeError as error:
            self._complain("the store", error.text)

    async def once(self) -> list[Line]:
        """Keeps and tells what was gathered; returns it. Raises StoreError; then it is kept for the next time."""
        lines, self._lines = list(self._lines.values()), {}
        self._unwritten = (self._unwritten + lines)[-MOST:]
        now = self._engine.clock.now()
        tidy = now - self._tidied_at >= TIDIED_EVERY_S
        if not self._unwritten and not tidy:
            return []
        due, wanted = self._unwritten, self._wanted
        await self._engine.store.write(partial(self._keep, lines=due, before=now - wanted.kept if tidy else None))
        self._unwritten = []
        self._tidied_at = now if tidy else self._tidied_at
        if due and (wanted.file or wanted.syslog):
            await asyncio.to_thread(self._hand_out, due, wanted)
        return due

    def _keep(self, tx: Tx, lines: Sequence[Line], before: float | None) -> None:
        for line in lines:
            tx.insert(table, **line.row())
        routes = [route for route in self._engine.routes.values() if route.config.source.kind == "events"]
        tellers = {route.name for route in routes}
        for route in routes:
            for line in lines:
                # What became of telling it is told no further, or it would never end.
                if line.kind in route.config.source.events and line.subject not in tellers:
                    self._engine.outcomes.begin(tx, route, line.row())
        if before is not None:
            tx.execute(delete(table).where(table.c.at < before))

    # --- outside of the store ---

    def _hand_out(self, lines: Sequence[Line], wanted: Wanted) -> None:
        for place, hand in ((wanted.file, self._append), (wanted.syslog, self._send)):
            if place is None:
                continue
            try:
                hand(place, lines)
                self._told_of.discard(place)
            except OSError as error:
                self._complain(place, error.strerror or str(error))

    def _append(self, place: str, lines: Sequence[Line]) -> None:
        # Opened anew each time: who rotates it need tell nobody.
        descriptor = os.open(Path(place), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        with os.fdopen(descriptor, "ab") as file:
            file.write(b"".join(line.json() for line in lines))

    def _send(self, place: str, lines: Sequence[Line]) -> None:
        url = URL(place)
        family = socket.AF_INET if url.scheme == "udp" else socket.AF_UNIX
        to = (url.host, url.port or 514) if url.scheme == "udp" else url.path
        with socket.socket(family, socket.SOCK_DGRAM) as sending:
            for line in lines:
                sending.sendto(line.syslog(socket.gethostname(), os.getpid()), to)

    def _complain(self, place: str, why: str) -> None:
        if place not in self._told_of:
            self._told_of.add(place)
            logger.bind(action="events", place=place, problem=why).warning("events cannot be written there")
