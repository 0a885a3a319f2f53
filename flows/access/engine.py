"""What the rest of the gateway asks about rights: may he, which rows, what to show, and why not.

The answers come from memory: one snapshot of everything, replaced within moments of every change, and from it one
predicate for each person and permission, made when first asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isinf
from typing import Any, TypeVar

import orjson
from loguru import logger
from sqlalchemy import ColumnElement, Connection, Executable, Result, func, insert, select, update

from flows.access.changes import TOPIC, Actor, Unit, noted
from flows.access.compiling import Compiled, Rights
from flows.access.difference import Change, differences
from flows.access.explaining import Explanation, why_not
from flows.access.fields import shown
from flows.access.filtering import Protected, condition
from flows.access.guarding import asked, guard, not_over
from flows.access.loading import load, renewed, revision
from flows.access.model import Object, Snapshot
from flows.access.tables import use
from pipe.clock import Clock
from pipe.errors import Denied, PipeError, StoreBusy
from pipe.lasting import lasting
from pipe.store.schema import feed
from pipe.store.store import Store
from pipe.store.transaction import Tx

T = TypeVar("T")
Row = tuple[str, str]
TRIES = 5
"""of a change that met another one"""
OPEN = Object(level=0)
"""of no company and for everybody's eyes: rights on it reach everywhere"""
USES_S = 300.0
"""between two times of writing down who used what"""
PAUSE_S = 0.2
"""before a snapshot that could not be read is tried again"""


@dataclass(frozen=True, slots=True)
class Need:
    """A permission that a change demands of who makes it, and what it is about."""

    permission: str
    thing: Object | None = OPEN
    """None: on whatever object, where the guard of the change looks how far it reaches"""


class Access:
    """Everybody's rights. `open` once, `run` as long as it is used where others may change them, too."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self._clock = store, clock
        self._compiled = Compiled(Snapshot())
        self._seen = 0
        self._used: dict[Row, float] = {}
        self._changing = asyncio.Lock()
        self._turned = asyncio.Event()
        self._version = 0

    async def open(self) -> Access:
        """Reads everything. Raises StoreUnavailable."""
        self._seen, snapshot = await self.store.read(_all)
        self._take(snapshot)
        return self

    async def run(self) -> None:
        """Takes up every change, of others and by time alone, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lasting("access-feed", self._follow, self._clock))
            tasks.create_task(lasting("access-time", self._watch_time, self._clock))
            tasks.create_task(lasting("access-uses", self._note_uses, self._clock))

    # --- the four readings of a predicate ---

    def may(
        self, person: str, permission: str, thing: Object | None = None, *, factor_age: float | None = None
    ) -> bool:
        """Whether the person may, on this object; without one: whether there may be any on which he may."""
        try:
            now = self._clock.now()
            allowed = self._compiled.of(person, now).may(permission, thing, factor_age)
            if allowed and thing is not None:
                self._used[person, permission] = now
            return allowed
        except Exception:  # boundary: whatever is wrong with what was asked, the answer is no
            logger.bind(action="access_failed", person=person, permission=permission).exception(
                "a decision broke; it was denied"
            )
            return False

    def filter(
        self, person: str, permission: str, table: Protected, *, factor_age: float | None = None
    ) -> ColumnElement[bool]:
        """The WHERE of the rows on which he may."""
        if permission in self.rights(person).predicates:
            self._used[person, permission] = self._clock.now()
        return condition(self.rights(person).predicate(permission), table, factor_age)

    def menu(self, person: str, *, factor_age: float | None = None) -> frozenset[str]:
        """Every permission that is of any use to the person now: what menus and buttons show."""
        rights = self.rights(person)
        return frozenset(name for name, each in rights.predicates.items() if each.possible(factor_age))

    def why_not(
        self, person: str, permission: str, thing: Object | None = None, *, factor_age: float | None = None
    ) -> Explanation:
        """Why, in both languages, and whom to ask."""
        return why_not(self._compiled, person, permission, thing, self._clock.now(), factor_age)

    def demand(
        self, person: str, permission: str, thing: Object | None = None, *, factor_age: float | None = None
    ) -> None:
        """Raises Denied with the reason and whom to ask, where the person may not."""
        if not self.may(person, permission, thing, factor_age=factor_age):
            why = self.why_not(person, permission, thing, factor_age=factor_age)
            ask = ", ".join(why.ask) or "an administrator"
            raise Denied(why.en, hint=f"ask {ask}", permission=permission, reason=why.reason)

    # --- more about people ---

    def not_over(self, mine: str, theirs: str) -> None:
        """Raises Denied where the second person governs rights that the first one does not have."""
        ask = partial(asked, self._compiled, now=self._clock.now(), besides=mine)
        not_over(self.rights(mine), self.rights(theirs), ask)

    def rights(self, person: str) -> Rights:
        """All that a person may do now."""
        return self._compiled.of(person, self._clock.now())

    def shown(
        self,
        person: str,
        permission: str,
        thing: Object,
        kind: str,
        fields: Mapping[str, Any],
        *,
        factor_age: float | None = None,
    ) -> dict[str, Any]:
        """The fields of an object as this person sees them: some masked, some not there."""
        level = self.rights(person).predicate(permission).reach(thing, factor_age)
        return shown(self.snapshot.field, kind, fields, level)

    @property
    def snapshot(self) -> Snapshot:
        """Everything, as it is now."""
        return self._compiled.snapshot

    @property
    def compiled(self) -> Compiled:
        """Everybody's rights, as they are now."""
        return self._compiled

    @property
    def version(self) -> int:
        """Grows whenever an answer may have changed."""
        return self._version

    async def changed(self, version: int) -> int:
        """Returns when `version` is no longer the newest, with the newest: open pages and streams ask again then."""
        while self._version == version:
            await self._turned.wait()
        return self._version

    # --- changes ---

    async def change(self, by: Actor, unit: Callable[[Unit], T], *needs: Need) -> T:
        """Runs a unit of work of rights, if the actor has what it needs and nothing of `guarding` stands against it.

        In force here when it returns. Raises Denied, and what the unit raises; then nothing has changed.
        """
        async with self._changing:  # those of one process one after another; others are met by their revision
            return await self._change(by, unit, needs)

    async def _change(self, by: Actor, unit: Callable[[Unit], T], needs: Iterable[Need]) -> T:
        for _ in range(TRIES):
            before = self._compiled
            self._check(by, needs)
            touched, after = await self._rehearsed(unit, before)
            await asyncio.to_thread(guard, by, before, after, touched, self._clock.now())
            try:
                made, rows, reached = await self.store.write(_at(before.snapshot.revision, unit))
            except _Moved:
                await self._catch_up()
                continue
            if self._compiled is before:
                await self._catch_up(rows, reached)
            return made
        raise StoreBusy("rights are being changed by others all the time", hint="try again in a moment")

    async def rehearse(self, by: Actor, unit: Callable[[Unit], Any], *needs: Need) -> list[Change]:
        """Who would gain what and who would lose what; nothing is changed. Raises as `change` does."""
        before = self._compiled
        self._check(by, needs)
        touched, after = await self._rehearsed(unit, before)
        now = self._clock.now()
        await asyncio.to_thread(guard, by, before, after, touched, now)
        return await asyncio.to_thread(differences, before, after, touched, now)

    async def deny(self, by: Actor, permission: str, why: Explanation, target: str = "") -> None:
        """Notes a denial in the audit."""
        facts = {"permission": permission, "reason": why.reason, "against": list(why.against)}
        await self.store.write(lambda tx: noted(tx, by, "access.denied", target, after=facts))

    def _check(self, by: Actor, needs: Iterable[Need]) -> None:
        if by.person is not None:
            for need in needs:
                self.demand(by.person, need.permission, need.thing)

    async def _rehearsed(self, unit: Callable[[Unit], Any], before: Compiled) -> tuple[list[Row], Compiled]:
        """What the unit touches, and what would be; the transaction is undone. Raises what the unit raises."""

        def trial(tx: Tx) -> None:
            dry = _Dry(tx)
            unit(dry)
            raise _Undone(dry.touched, renewed(tx.connection, before.snapshot, dry.touched))

        try:
            await self.store.write(trial)
        except _Undone as done:
            return done.touched, Compiled(done.snapshot)
        raise AssertionError("a rehearsal ends by being undone")

    # --- keeping up ---

    def _take(self, snapshot: Snapshot) -> None:
        if snapshot.revision >= self.snapshot.revision:
            self._compiled = Compiled(snapshot)
            self._turn()

    def _turn(self) -> None:
        self._version += 1
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    async def _catch_up(self, rows: list[Row] | None = None, reached: int = -1) -> None:
        """Takes up what has been changed since; all of it again where it is not known what."""
        snapshot = self.snapshot

        def read(connection: Connection) -> Snapshot:
            if rows is not None and revision(connection) == reached:
                return renewed(connection, snapshot, rows)
            return load(connection)

        fresh = await self.store.read(read)
        if fresh.revision > self.snapshot.revision:
            self._take(fresh)

    async def _follow(self) -> None:
        while True:
            try:
                await self._take_up(await self.store.follow(TOPIC, self._seen))
            except PipeError as error:
                logger.bind(action="access_stale", error=error.text).error(
                    "a change of rights could not be read; it is tried again"
                )
                await self._clock.sleep(PAUSE_S)

    async def _take_up(self, events: list[tuple[int, float, bytes]]) -> None:
        told = [orjson.loads(event) for _, _, event in events]
        have = self.snapshot.revision
        fresh = [each for each in told if each["revision"] > have]
        if fresh:
            rows: set[Row] = {(table, name) for each in fresh for table, name in each["changed"]}
            snapshot = self.snapshot

            def read(connection: Connection) -> Snapshot:
                # The events name all that changed only if none came after them.
                whole = revision(connection) == fresh[-1]["revision"] == have + len(fresh)
                return renewed(connection, snapshot, rows) if whole else load(connection)

            made = await self.store.read(read)
            if made.revision > self.snapshot.revision:
                self._take(made)
        self._seen = events[-1][0]

    async def _watch_time(self) -> None:
        while True:
            now, version = self._clock.now(), self._version
            until = self.snapshot.next_boundary(now)
            changed = asyncio.ensure_future(self.changed(version))
            waits: set[asyncio.Future[Any]] = {changed}
            if not isinf(until):
                waits.add(asyncio.ensure_future(self._clock.sleep(until - now)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
            if self._version == version:
                self._turn()

    async def note_uses(self) -> None:
        """Writes down who has used what since the last time, for the findings of unused rights."""
        used, self._used = self._used, {}
        if not used:
            return

        def write(tx: Tx) -> None:
            for (person, permission), at in used.items():
                mine = (use.c.person == person, use.c.permission == permission)
                if not tx.execute(update(use).where(*mine).values(at=at).returning(use.c.at)).fetchall():
                    tx.execute(insert(use), {"person": person, "permission": permission, "at": at})

        await self.store.write(write)

    async def _note_uses(self) -> None:
        while True:
            await self._clock.sleep(USES_S)
            try:
                await self.note_uses()
            except PipeError as error:
                logger.bind(action="access_uses", error=error.text).warning("the use of rights was not written down")


class _Moved(Exception):
    """Somebody else has changed rights meanwhile."""


class _Undone(Exception):
    """Ends a rehearsal."""

    def __init__(self, touched: list[Row], snapshot: Snapshot) -> None:
        super().__init__("rehearsed")
        self.touched, self.snapshot = touched, snapshot


def _at(known: int, unit: Callable[[Unit], T]) -> Callable[[Tx], tuple[T, list[Row], int]]:
    """The unit, if it finds the revision it was checked against; with the rows it touches, and the revision after."""

    def checked(tx: Tx) -> tuple[T, list[Row], int]:
        if revision(tx.connection) != known:
            raise _Moved
        noting = _Noting(tx)
        return unit(noting), noting.touched, revision(tx.connection)

    return checked


class _Noting:
    """A transaction that remembers which rows of rights are different after it."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.now, self.new_id = tx.now, tx.new_id
        self.touched: list[Row] = []

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs SQL."""
        return self._tx.execute(statement, parameters)

    def publish(self, topic: str, event: Mapping[str, Any]) -> int:
        """Appends to a feed."""
        if topic == TOPIC:
            self.touched += [(table, name) for table, name in event["changed"]]
        return self._publish(topic, event)

    def _publish(self, topic: str, event: Mapping[str, Any]) -> int:
        return self._tx.publish(topic, event)

    def audit(
        self, event: str, *, before: Any = None, after: Any = None, target: str = "", actor: str | None = None
    ) -> None:
        """Writes who did what."""
        self._tx.audit(event, before=before, after=after, target=target, actor=actor)


class _Dry(_Noting):
    """One that will be undone: nobody is told, and no number of the audit is used up."""

    def _publish(self, topic: str, event: Mapping[str, Any]) -> int:
        return 0

    def audit(
        self, event: str, *, before: Any = None, after: Any = None, target: str = "", actor: str | None = None
    ) -> None:
        """Says nothing: it did not happen."""


def _all(connection: Connection) -> tuple[int, Snapshot]:
    """The feed's last event is read first: what comes after it is taken up twice rather than not at all."""
    last = connection.execute(select(func.max(feed.c.seq)).where(feed.c.topic == TOPIC)).scalar()
    return last or 0, load(connection)
