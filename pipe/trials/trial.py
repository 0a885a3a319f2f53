"""Runs one test through the real engine, on a store of its own that is thrown away."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, func, select

from pipe.config.models import Configuration, RouteTest
from pipe.contract import Accepted, Message, Receipt
from pipe.door import RouteDoor
from pipe.engine import Catalogue, Engine
from pipe.errors import PipeError
from pipe.store import schema
from pipe.store.migrations import Migration
from pipe.store.schema import DEAD, EXPIRED, READY, RETRY, UNCERTAIN
from pipe.store.store import Store
from pipe.testing.services import FakeServices
from pipe.trials.clock import TrialClock
from pipe.trials.matching import differences, shown
from pipe.trials.model import Problem, Reply, Result, Send
from pipe.trials.partners import Partners, body_of, stub_of, told
from pipe.trials.sending import arrival_of, texts
from pipe.trials.staging import staged

Tables = Iterable[tuple[str, Sequence[Migration]]]
BREATH_S = 0.001
_REPLIES: TypeAdapter[dict[str, Reply | list[Reply]]] = TypeAdapter(dict[str, Reply | list[Reply]])
_BAD = (DEAD, EXPIRED, UNCERTAIN, READY)


async def run_test(test: RouteTest, configuration: Configuration, catalogue: Catalogue, tables: Tables) -> Result:
    """What became of one test. Never raises for what the configuration or the test does wrong."""
    result = Result(test.name, test.route, test.place)
    try:
        send = Send.model_validate(test.send or {})
        replies = _REPLIES.validate_python(test.replies or {})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        result.problems.append(Problem("invalid", f"`send:` or `replies:` cannot be read: {where}: {first['msg']}"))
        return result
    listed = {name: reply if isinstance(reply, list) else [reply] for name, reply in replies.items()}
    with tempfile.TemporaryDirectory(prefix="pipe-test-") as folder:
        stage = Stage(Path(folder), test, staged(configuration, listed), catalogue, listed)
        await stage.open(tables)
        try:
            await stage.play(send)
            result.got = await stage.happenings()
        finally:
            await stage.close()
    result.problems += [*stage.partners.problems, *differences(test.expect, result.got)]
    result.got = [shown(happening) for happening in result.got]
    return result


class Stage:
    """The engine with stubs in the place of all partners."""

    def __init__(
        self,
        folder: Path,
        test: RouteTest,
        configuration: Configuration,
        catalogue: Catalogue,
        replies: dict[str, list[Reply]],
    ) -> None:
        self._configuration, self._route = configuration, configuration.routes[test.route]
        self._real = catalogue
        answering = self._route.to[0].connection if self._route.reply.mode == "sync" and self._route.to else None
        self.partners = Partners(replies, answering)
        stubs = {name: stub_of(adapter, self.partners) for name, adapter in catalogue.adapters.items()}
        self._clock = TrialClock()
        ids = (f"{number:026d}" for number in itertools.count(1))
        self._store = Store(folder, url=None, clock=self._clock, new_id=lambda: next(ids))
        self._staged = dataclasses.replace(catalogue, adapters=stubs)
        self._engine: Engine
        self._told: list[dict[str, Any]] = []

    async def open(self, tables: Tables) -> None:
        """Everything up."""
        await self._store.open(tables)
        self._store.start()
        services: Any = FakeServices(self._clock)
        self._engine = Engine(self._store, self._clock, self._staged, services)
        await self._engine.start(self._configuration)

    async def close(self) -> None:
        """Everything down; what still waits is of no interest."""
        await self._engine.stop(grace_s=0)
        await self._store.close()

    async def play(self, send: Send) -> None:
        """Sends the message, and returns when nothing more happens by itself."""
        try:
            if self._route.source.kind in ("connection", "channel"):
                self._answered(await self._by_door(send))
            else:
                await self._emitted(send)
        except PipeError as error:
            self._told.append({"refused": error.code, "status": error.status, "text": error.text})
        await self._settled()

    async def _by_door(self, send: Send) -> Accepted:
        spec = self._configuration.connections.get(self._route.source.connection or "")
        refusable = spec is None or getattr(self._real.adapters[spec.type], "refusable", True)
        door = RouteDoor(self._engine, self._route.name, refusable=refusable)
        return await door.accept(arrival_of(send, self._route, self._real))

    async def _emitted(self, send: Send) -> None:
        engine, clock = self._engine, self._clock
        route = engine.routes[self._route.name]
        message = Message(
            self._store.new_id(), route.name, send.body, texts(send.headers, snake=True), texts(send.params),
            texts(send.query), send.content_type, clock.now(), caller=send.caller, company=send.company,
        )  # fmt: skip
        await self._store.write(lambda tx: engine.outcomes.store(tx, route, message, 0))

    def _answered(self, accepted: Accepted) -> None:
        if accepted.reply is not None:
            reply: Receipt = accepted.reply
            message = Message("", self._route.name, reply.body, content_type=reply.content_type)
            self._told.append({"reply": {"status": reply.status, **body_of(message, self._real.transformers)}})

    # --- until nothing more happens ---

    async def _settled(self) -> None:
        """Pauses before a retry or a confirmation are jumped over; timers that a flow set are not waited for."""
        while True:
            await self._still()
            due = await self._store.read(_next_try)
            if due is None:
                return
            self._clock.jump(max(0.0, due - self._clock.now()))
            self._engine.scheduler.due(0.0)
            await self._until_tried(due)

    async def _until_tried(self, due: float) -> None:
        """Returns when the scheduler has taken up what was due."""
        while True:
            if await self._store.read(_next_try) != due:
                return
            await asyncio.sleep(BREATH_S)

    async def _still(self) -> None:
        """Returns when no station works and no commit is under way."""
        quiet = 0
        while quiet < 3:
            await self._store.write(lambda tx: None)
            await asyncio.sleep(BREATH_S if quiet else 0)
            quiet = quiet + 1 if all(station.idle for station in self._engine.stations.values()) else 0

    # --- what happened ---

    async def happenings(self) -> list[dict[str, Any]]:
        """Calls, refusals, replies and bad ends, in the words of `expect:`."""
        calls = [told(call, self._real.transformers) for call in self.partners.calls.values() if not call.is_question]
        return [*self._told, *calls, *await self._store.read(_bad_ends)]


def _next_try(connection: Connection) -> float | None:
    d = schema.delivery.c
    waiting = select(func.min(d.next_at)).where(d.state.in_((RETRY, UNCERTAIN)), d.done_at.is_(None))
    due: float | None = connection.execute(waiting).scalar()
    return due


def _bad_ends(connection: Connection) -> list[dict[str, Any]]:
    d, letter = schema.delivery.c, schema.dead_letter.c
    rows = connection.execute(
        select(d.route, d.station, d.state, d.code, d.note, letter.place)
        .join(schema.dead_letter, letter.delivery == d.id, isouter=True)
        .where(d.state.in_(_BAD))
        .order_by(d.id)
    )
    return [_end(row) for row in rows]


def _end(row: Any) -> dict[str, Any]:
    end = {
        "outcome": "waiting" if row.state == READY else row.state,
        "route": row.route,
        "target": row.station,
        "code": row.code,
        "text": row.note,
        "place": row.place,
    }
    return {key: value for key, value in end.items() if value is not None}
