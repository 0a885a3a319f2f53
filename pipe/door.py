"""The entrance of a route: decode and check, then one commit, and only then the acknowledgement."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select

from pipe.contract import Accepted, Arrival, Blob, Message
from pipe.errors import (
    Draining,
    KeyInFlight,
    KeyReused,
    NoCredentials,
    NotFound,
    OutcomeUnknown,
    PayloadError,
    PipeError,
    TooLarge,
)
from pipe.events import Arrived
from pipe.sampling import message_of
from pipe.steps.pipeline import StepStopped
from pipe.store import journal, schema
from pipe.store.batch import Rows
from pipe.store.journal import Entry, Work
from pipe.store.schema import PENDING, UNCERTAIN
from pipe.store.statements import Statement
from pipe.store.transaction import Tx
from pipe.tracing import stamped

if TYPE_CHECKING:
    from pipe.config.models import RouteConfig
    from pipe.engine import Engine
    from pipe.route import Route

_FIND_KEY = Statement("SELECT message, fingerprint, expires_at, reply FROM idempotency WHERE scope = :scope")
_KEYS = Rows("idempotency", "scope", "message", "fingerprint", "expires_at")
_FIND_IDENTITY = Statement("SELECT message FROM identity WHERE route = :route AND name = :name")
_IDENTITIES = Rows("identity", "route", "name", "message", "at")
_ID = Statement("SELECT id FROM message WHERE seq = :seq")


@dataclass(slots=True)
class Stored:
    """What the unit found or made."""

    id: str
    works: list[Work]
    replayed: bool = False
    reply: bytes | None = None


class RouteDoor:
    """What a source is given; it always leads into today's revision of its route."""

    def __init__(self, engine: Engine, route: str, *, refusable: bool) -> None:
        self._engine, self.route, self._refusable = engine, route, refusable

    @property
    def options(self) -> Any:
        """See `pipe.contract.Door`."""
        return self._config.source.options

    @property
    def max_body(self) -> int:
        """See `pipe.contract.Door`."""
        return self._config.source.max_body

    @property
    def synchronous(self) -> bool:
        """See `pipe.contract.Door`."""
        route = self._engine.routes.get(self.route)
        return route is not None and route.synchronous

    @property
    def _config(self) -> RouteConfig:
        return self._engine.routes[self.route].config

    async def accept(self, arrival: Arrival) -> Accepted:
        """See `pipe.contract.Door`."""
        engine, begun = self._engine, self._engine.clock.monotonic()
        try:
            route = engine.routes.get(self.route)
            if route is None:
                raise NotFound(f"the route {self.route} is no longer there")
            accepted = await self._accept(route, arrival)
        except PipeError as error:
            error.facts.setdefault("route", self.route)
            engine.events.tell(Arrived(self.route, "refused", error.code, engine.clock.monotonic() - begun))
            raise
        outcome, took = "replayed" if accepted.replayed else "accepted", engine.clock.monotonic() - begun
        engine.events.tell(Arrived(self.route, outcome, None, took, accepted.id, arrival.headers))
        return accepted

    async def _accept(self, route: Route, arrival: Arrival) -> Accepted:
        engine = self._engine
        if engine.draining:
            raise Draining(retry_after=5)
        engine.switches.check_open(route.name, route.config.source.connection, synchronous=route.synchronous)
        size = arrival.body.size if isinstance(arrival.body, Blob) else len(arrival.body)
        engine.room.check(self.route, route.config.queue, size)
        message = self._message(route, arrival)
        scope: str | None = None
        failure: StepStopped | None = None
        decoded: Message | None = None
        try:
            if size > self.max_body:
                raise TooLarge(f"the body has {size} bytes, the limit is {self.max_body}")
            decoded = (await route.door.run(message, size=size)).message
            assert decoded is not None
            entry = route.entry(message, 0, decoded)
            entry.decoded, entry.wire = decoded, arrival.wire
            scope = route.idempotency_scope(decoded)
        except (StepStopped, PayloadError) as stop:
            error = stop.error if isinstance(stop, StepStopped) else stop
            if self._refusable:
                raise error from stop
            failure = stop if isinstance(stop, StepStopped) else None
            return await self._bury(route, message, arrival, error, failure)
        stored = await self._store(route, arrival, entry, scope)
        engine.sampling.offer(route.config.source.connection, message_of(route.name), decoded.body)
        if route.synchronous and not stored.replayed:
            return await engine.answering.answer(route, stored.works, scope)
        if not stored.replayed:
            return Accepted(stored.id)
        reply = engine.answering.stored(scope, stored.reply) if scope and stored.reply else None
        return Accepted(stored.id, reply, replayed=True)

    def _message(self, route: Route, arrival: Arrival) -> Message:
        now, deadline = self._engine.clock.now(), route.config.deadline
        message_id, headers = self._engine.store.new_id(), arrival.headers
        if (traces := self._engine.configuration.traces) is not None:
            headers = stamped(headers, message_id, float(traces.sample))
        return Message(
            message_id, self.route, arrival.body, headers, arrival.params, arrival.query,
            arrival.content_type, now, None if deadline is None else now + deadline, arrival.caller, arrival.company,
        )  # fmt: skip

    async def _store(self, route: Route, arrival: Arrival, entry: Entry, scope: str | None) -> Stored:
        engine = self._engine
        if route.synchronous:
            entry.answering = entry.stations[0]
        prints = engine.store.vault.hash("request", _fingerprint(arrival)) if scope is not None else ""
        identity = (
            None if arrival.identity is None else engine.store.vault.hash("identity", self.route, arrival.identity)
        )
        window = route.config.idempotency.window if route.config.idempotency else 0.0
        forgets = scope is not None and engine.scheduler.believes_clock()

        once = None
        if arrival.once is not None:
            once = engine.store.vault.hash("once", str(route.config.source.connection), arrival.once)

        def unit(tx: Tx) -> Stored:
            # Before all else: a repetition that is known by its key would otherwise be answered to whoever replays it.
            if (
                once is not None
                and tx.find(_FIND_IDENTITY, {"route": "", "name": once}, _IDENTITIES, ("", once)).fetchone()
            ):
                raise NoCredentials("what may be used once was used before", reason="it was used before")
            found = self._repeated(tx, scope, prints, identity, synchronous=route.synchronous, forgets=forgets)
            if found is not None:
                return found
            works = journal.store(tx, entry, engine.store.vault)
            if scope is not None:
                tx.later(_KEYS, (scope, works[0].seq, prints, tx.now + window), scope)
            if identity is not None:
                tx.later(_IDENTITIES, (self.route, identity, works[0].seq, tx.now), (self.route, identity))
            if once is not None:
                tx.later(_IDENTITIES, ("", once, works[0].seq, tx.now), ("", once))
            return Stored(entry.message.id, works)

        return await engine.store.write(unit)

    def _repeated(
        self, tx: Tx, scope: str | None, prints: str, identity: str | None, *, synchronous: bool, forgets: bool
    ) -> Stored | None:
        if identity is not None:
            named = {"route": self.route, "name": identity}
            if row := tx.find(_FIND_IDENTITY, named, _IDENTITIES, (self.route, identity)).fetchone():
                return Stored(tx.run(_ID, {"seq": row[0]}).fetchone()[0], [], replayed=True)
        if scope is None or (row := tx.find(_FIND_KEY, {"scope": scope}, _KEYS, scope).fetchone()) is None:
            return None
        seq, known, expires_at, reply = row
        # After a leap of the clock: for a caller that repeats within seconds no week has passed.
        if expires_at <= tx.now and forgets:
            tx.execute(delete(schema.idempotency).where(schema.idempotency.c.scope == scope))
            return None
        if known != prints:
            raise KeyReused("the idempotency key was used for another body")
        if synchronous and reply is None:
            _still_open(tx, seq)
        return Stored(
            tx.run(_ID, {"seq": seq}).fetchone()[0], [], replayed=True, reply=None if reply is None else bytes(reply)
        )

    async def _bury(
        self, route: Route, message: Message, arrival: Arrival, error: PipeError, stop: StepStopped | None
    ) -> Accepted:
        """A peer that cannot be told no: what it sent is kept as a dead letter."""
        engine = self._engine
        entry = Entry(message, route.stages[0].stations, 0, route.revision, secret=bool(route.config.sensitive))
        outcome = engine.buried(error, stop)
        identity = (
            None if arrival.identity is None else engine.store.vault.hash("identity", self.route, arrival.identity)
        )

        def unit(tx: Tx) -> str:
            found = self._repeated(tx, None, "", identity, synchronous=False, forgets=False)
            if found is not None:
                return found.id
            works = journal.store(tx, entry, engine.store.vault)
            if identity is not None:
                tx.later(_IDENTITIES, (self.route, identity, works[0].seq, tx.now), (self.route, identity))
            for work in works:
                engine.outcomes.end(tx, work, outcome, [])
            return message.id

        return Accepted(await engine.store.write(unit))


def _still_open(tx: Tx, seq: int) -> None:
    states = [
        row.state
        for row in tx.execute(
            select(schema.delivery.c.state).where(schema.delivery.c.message == seq).order_by(schema.delivery.c.id)
        )
    ]
    if states and states[0] == UNCERTAIN:
        raise OutcomeUnknown("the first request with this key was sent, but its outcome is not known")
    if states and states[0] in PENDING:
        raise KeyInFlight(retry_after=1)
    # Ended without an answer that could be given again: after a crash, or by a person's hand.
    raise OutcomeUnknown("the first request with this key ended without an answer that was kept")


def _fingerprint(arrival: Arrival) -> str:
    if isinstance(arrival.body, Blob):
        return f"{arrival.fingerprint} {arrival.body.sha256}"
    return f"{arrival.fingerprint} {hashlib.sha256(arrival.body).hexdigest()}"
