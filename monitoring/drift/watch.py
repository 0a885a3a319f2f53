"""Looks at what partners publish, learns from samples how messages look, and knows what has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson
from loguru import logger
from sqlalchemy import Connection, select

from monitoring.drift.changes import Change
from monitoring.drift.shape import look
from monitoring.drift.tables import drift as table
from monitoring.drift.telling import Told, summed_up, told
from monitoring.drift.watched import Description, Row, Sample, Watched, of_row
from pipe import blocking
from pipe.config.blocks import Drift as Keys
from pipe.config.models import Configuration
from pipe.config.readers import Use, uses_of
from pipe.config.walk import uses
from pipe.engine import Engine
from pipe.errors import PipeError
from pipe.lasting import ended, lasting
from pipe.outline import Described
from pipe.redact import mask
from pipe.sampling import parts_of
from pipe.store.transaction import Tx

TURN_S = 0.5
"""seconds between two looks whether it is time to ask somebody, or to write"""
KEPT_EVERY_S = 30.0
"""seconds after which what was learned is written down; what has changed is written at once"""
FIRST_LOOK_S = 60.0
"""seconds after a start before a partner is asked that was never asked, unless `every` is shorter"""
AT_ONCE = 4
"""partners that are asked at the same time"""
POOL = "drift"

At = tuple[str, str, str]


class Drift:
    """Two tasks. They belong to a running gateway."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watched: dict[At, Watched] = {}
        self._changes: dict[At, list[Change]] = {}
        self._dirty: set[At] = set()
        self._written_at = float("-inf")
        self._began = 0.0
        self._uses: tuple[Configuration, list[Use]] | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    # --- what others ask

    def texts(self) -> dict[str, tuple[str, str]]:
        """What has changed so that something may break, and whoever reads it, by connection: English and Ukrainian."""
        mine: dict[str, list[Told]] = {}
        for (connection, what, _), changes in sorted(self._changes.items()):
            breaking, keys = [each for each in changes if each.breaks], self._keys(connection)
            if breaking and keys is not None and (what != "sample" or keys.samples):
                adapter = self._engine.connections[connection].adapter
                mine.setdefault(connection, []).extend(told(breaking, connection, adapter, self.uses()))
        return {name: (summed_up(name, each, "en"), summed_up(name, each, "uk")) for name, each in mine.items()}

    def count(self) -> dict[str, int]:
        """How many changes there are of each connection."""
        counts = dict.fromkeys(self._engine.connections, 0)
        for (connection, _, _), changes in self._changes.items():
            if connection in counts:
                counts[connection] += sum(each.breaks for each in changes)
        return counts

    def samples(self, connection: str) -> list[Sample]:
        """What was learned of its messages."""
        return [each for at, each in self._watched.items() if at[0] == connection and isinstance(each, Sample)]

    def uses(self) -> list[Use]:
        """Who reads which field, of the configuration in force."""
        configuration = self._engine.configuration
        if self._uses is None or self._uses[0] is not configuration:
            self._uses = configuration, uses_of(configuration)
        return self._uses[1]

    # --- life

    async def start(self) -> None:
        """Goes on with what was known when the gateway stopped."""
        self._began = self._engine.clock.now()
        self._take_up(await self._engine.store.read(_rows))
        self._engine.sampling.looked_at, self._engine.sampling.keep = True, partial(self._written, now=True)
        for name, run in (("drift", self._run), ("samples", self._learning)):
            self._tasks.append(asyncio.create_task(lasting(name, run, self._engine.clock), name=name))

    async def stop(self) -> None:
        """Looks no more; writes down what was learned."""
        self._engine.sampling.looked_at = False
        for task in (*self._tasks, *self._asking.values()):
            await ended(task)
        blocking.close(POOL)
        if self._tasks:
            await self._written(now=True)

    async def _run(self) -> None:
        while True:
            await self.once()
            await self._engine.clock.sleep(TURN_S)

    async def once(self) -> None:
        """Asks whom it is time to ask, and writes down what is new."""
        await self._reread()
        for name, connection in self._engine.connections.items():
            adapter = connection.adapter
            if isinstance(adapter, Described) and not connection.paused and name not in self._asking:
                self._ask(name, adapter)
        await self._written()

    # --- samples

    async def _learning(self) -> None:
        while True:
            await self._engine.sampling.there.wait()
            await self.learn()

    async def learn(self) -> None:
        """Learns from what was set aside."""
        for (connection, sample), body in self._engine.sampling.take().items():
            keys = self._keys(connection)
            if keys is None or not keys.samples:
                continue
            at = (connection, "sample", sample)
            known = self._watched.get(at)
            if not isinstance(known, Sample):
                known = self._watched[at] = Sample(Row(connection, "sample", sample, 0.0))
            try:
                seen = await blocking.run(POOL, look, body, known.shape.maps)
            except (PipeError, OSError):
                continue  # a table that is read as it goes: its file is gone, or cannot be read
            if self._watched.get(at) is not known:
                continue  # a person has accepted what is: the next one counts
            known.wanted = keys.samples
            known.shape.learn(seen, keys.samples.learn, keys.samples.sure)
            known.row.looked_at = self._engine.clock.now()
            self._judge(at)

    # --- what partners publish

    def _ask(self, name: str, adapter: Described) -> None:
        keys, asked = self._keys(name), adapter.described_at()
        if keys is None or asked is None:
            return
        known = self._watched.get((name, asked[0], ""))
        now = self._engine.clock.now()
        due = known.row.looked_at + keys.every if known else self._began + min(keys.every, FIRST_LOOK_S)
        # After a leap of the clock backwards nothing would be looked at for long.
        if now >= due or (known is not None and known.row.looked_at > now):
            task = asyncio.create_task(self._asked(name, adapter, asked), name=f"drift {name}")
            self._asking[name] = task
            task.add_done_callback(lambda _: self._asking.pop(name, None))

    async def _asked(self, name: str, adapter: Described, asked: tuple[Any, str]) -> None:
        what, where = asked
        async with self._slots:
            at, trouble, interface = (name, what, ""), None, None
            try:
                interface = await adapter.interface()
            except PipeError as error:
                trouble = mask(error.text, ())
            except Exception as error:  # boundary of the adapter: one document that it stumbles over is no end of looks
                logger.bind(action="drift", connection=name).opt(exception=error).error(
                    "a description broke its reader"
                )
                trouble = f"it cannot be read: {type(error).__name__}"
            known = self._watched.get(at)
            if not isinstance(known, Description):
                known = self._watched[at] = Description(Row(name, what, "", 0.0), where)
            known.row.looked_at, known.row.trouble = self._engine.clock.now(), trouble
            if interface is not None:
                known.seen(interface)
            self._judge(at)
            self._written_at = float("-inf")

    # --- keeping

    def _keys(self, connection: str) -> Keys | None:
        known = self._engine.connections.get(connection)
        return known.config.drift or None if known is not None else None

    def _judge(self, at: At) -> None:
        """Takes up how it differs now; what is new is written at once."""
        known = self._watched[at]
        before, changes = self._changes.get(at, []), known.changes()
        self._dirty.add(at)
        if changes == before:
            return
        self._changes[at] = changes
        self._written_at = float("-inf")
        broke = any(each.breaks for each in changes)
        if broke != any(each.breaks for each in before):
            known.row.changed_at = self._engine.clock.now() if broke else None
            log = logger.bind(action="drift", connection=at[0], what=at[1], part=at[2], changes=len(changes))
            if broke:
                log.warning("what a partner gives has changed")
            else:
                log.info("what a partner gives is known again")

    def _take_up(self, rows: Collection[Mapping[str, Any]]) -> None:
        known = self._engine.configuration
        for values in rows:
            at = (values["connection"], values["what"], values["part"])
            spec = known.connections.get(at[0])
            if spec is not None and (at[1] != "sample" or _is_there(known, at[0], at[2])):
                self._watched[at] = of_row(values, spec.config.drift)
                self._changes[at] = self._watched[at].changes()

    async def _reread(self) -> None:
        accepted, self._engine.sampling.accepted = self._engine.sampling.accepted, set()
        for name in accepted:
            self._dirty = {at for at in self._dirty if at[0] != name}
            self._take_up(await self._engine.store.read(partial(_rows, connection=name)))

    async def _written(self, *, now: bool = False) -> None:
        async with self._writing:  # who asks for it to be written reads it next
            await self._write(now=now)

    async def _write(self, *, now: bool) -> None:
        at = self._engine.clock.monotonic()
        if not self._dirty or (not now and at - self._written_at < KEPT_EVERY_S):
            return
        dirty, self._dirty = self._dirty, set()
        rows = [_values(self._watched[each]) for each in dirty if each in self._watched]
        try:
            await self._engine.store.write(partial(self._keep, rows=rows))
        except PipeError as error:
            self._dirty |= dirty
            logger.bind(action="drift", error=error.text).warning("what was learned of shapes could not be written")
        self._written_at = at

    def _keep(self, tx: Tx, rows: list[dict[str, Any]]) -> None:
        c = table.c
        for row in rows:
            this = (c.connection == row["connection"]) & (c.what == row["what"]) & (c.part == row["part"])
            before = tx.execute(select(c.accepted_at).where(this)).first()
            if before is None:
                tx.insert(table, **row)
            elif before.accepted_at == row["accepted_at"]:  # else a person has just accepted it: theirs is taken up
                tx.execute(table.update().where(this).values(**row))
        known = self._engine.configuration
        for there in tx.execute(select(c.connection, c.what, c.part)).fetchall():
            connection, what, part = there.connection, there.what, there.part
            if connection not in known.connections or (what == "sample" and not _is_there(known, connection, part)):
                tx.execute(table.delete().where(c.connection == connection, c.what == what, c.part == part))


def _is_there(configuration: Configuration, connection: str, sample: str) -> bool:
    """Whether a route still has messages of that kind."""
    route = configuration.routes.get(parts_of(sample)[0])
    return route is not None and connection in {use.connection for use in uses(route)}


def _rows(connection_: Connection, connection: str | None = None) -> list[dict[str, Any]]:
    query = select(table) if connection is None else select(table).where(table.c.connection == connection)
    return [row._asdict() for row in connection_.execute(query)]


def _values(known: Watched) -> dict[str, Any]:
    return {**asdict(known.row), "data": orjson.dumps(known.data()).decode()}
