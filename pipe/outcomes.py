"""What hangs on an outcome, in the same transaction: taps, gathers, and routes that wait for outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from pipe.config.models import Configuration
from pipe.contract import Blob, Message
from pipe.errors import NoSuchTarget, PipeError, TooManyHops
from pipe.gathering import Gathering
from pipe.route import leaves
from pipe.store import codec, journal, schema
from pipe.store.journal import REPLY_LIMIT, Entry, Outcome, Work
from pipe.store.schema import DEAD
from pipe.store.transaction import Tx

if TYPE_CHECKING:
    from pipe.route import Route
    from pipe.store.store import Store

ALL_TO_EACH_CHILD = 100
"""sensitive values up to which every child of a split masks all of them"""


class Outcomes:
    """Runs on the writer's thread; reads the routes, changes nothing but the transaction."""

    def __init__(self, store: Store, most_hops: int) -> None:
        self._store, self.most_hops = store, most_hops
        self.vault = store.vault
        self.routes: Mapping[str, Route] = {}
        self.listeners: dict[tuple[str, str], list[str]] = {}
        """(route, outcome) → routes whose `from:` is that outcome"""
        self.gathering = Gathering(self)

    # --- ends ---

    def end(self, tx: Tx, work: Work, outcome: Outcome, taps: list[tuple[str, Message]]) -> bool:
        """Ends a delivery with everything that follows from it. False where a person had ended it already."""
        self.tap(tx, work, taps)
        if not journal.end(tx, work, outcome, self._store.vault):
            return False
        self.follow(tx, work, outcome)
        return True

    def finish(self, tx: Tx, work: Work, outcome: Outcome, taps: list[tuple[str, Message]]) -> None:
        """What `end` does, for whoever need not know whether a person was faster: most cost next to nothing."""
        followed = taps or work.gather is not None or (work.route, outcome.state) in self.listeners
        if followed or not journal.is_plain(work, outcome):
            self.end(tx, work, outcome, taps)
        else:
            journal.end_plain(tx, work, outcome)

    def follow(self, tx: Tx, work: Work, outcome: Outcome) -> None:
        """What others do about an outcome."""
        if work.gather is not None:
            self.gathering.child_ended(tx, work, outcome)
        for listener in self.listeners.get((work.route, outcome.state), ()):
            self.emit_to(tx, listener, self._report(tx, work, outcome), origin=work)

    def tap(self, tx: Tx, work: Work, taps: list[tuple[str, Message]]) -> None:
        """Stores copies for other routes, each once however often the steps ran."""
        for n, (route, message) in enumerate(taps):
            name = f"{work.message.id}.tap{n}"
            if tx.execute(select(schema.message.c.seq).where(schema.message.c.id == name)).first() is None:
                self.emit_to(tx, route, message.but(id=name), origin=work)

    def _report(self, tx: Tx, work: Work, outcome: Outcome) -> Message:
        body = work.message.body
        text = None if isinstance(body, Blob) else body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        fate = {
            "id": work.message.id, "route": work.route, "target": work.station, "outcome": outcome.state,
            "code": outcome.code, "text": outcome.note, "status": outcome.status, "attempts": work.attempts,
            "body": text, "reply": _plain_reply(outcome),
        }  # fmt: skip
        return work.message.but(id=tx.new_id(), body=fate, content_type=None)

    def original(self, row: Any) -> Message:
        """The accepted message of a row of the table `message`."""
        return self._store.loader.message({**row, "message_id": row["id"]})

    # --- emissions ---

    def begin(self, tx: Tx, route: Route, body: Any, sensitive: tuple[str, ...] = ()) -> str:
        """A message that the gateway makes of its own accord, for the start of a route; returns its id.

        `sensitive` are values in it that nobody may see in logs and pages, whatever the route says; they are sealed.
        """
        message = Message(tx.new_id(), route.name, body, received_at=tx.now)
        self.store(tx, route, message, 0, sensitive, secret=bool(sensitive))
        return message.id

    def emit_to(
        self,
        tx: Tx,
        route: str,
        message: Message,
        *,
        origin: Work | None,
        at: float | None = None,
        cancel: str | None = None,
        deadline: float | None = None,
    ) -> str:
        """A message for the start of another route; returns its id. What was sensitive in its origin stays so."""
        target = self.routes.get(route)
        if target is None:
            raise NoSuchTarget(f"there is no route {route}")
        if deadline is None and target.config.deadline is not None:
            deadline = (at or tx.now) + target.config.deadline
        hops = origin.message.hops + 1 if origin is not None else 0
        message = message.but(route=route, received_at=tx.now, hops=hops, params={}, query={}, deadline=deadline)
        sensitive, secret = (origin.sensitive, origin.secret) if origin is not None else ((), False)
        of = origin.message.id if origin is not None else None
        self.store(tx, target, message, 0, sensitive, secret=secret, origin=of, at=at, cancel_key=cancel)
        return message.id

    def emit_on(self, tx: Tx, work: Work, message: Message, *, deadline: float | None = None, **facts: Any) -> str:
        """A message for the next stage of the same route; returns its id. `deadline` can only make it shorter."""
        route, stage = self._onward(work)
        message = message.but(
            route=work.route,
            received_at=work.message.received_at,
            deadline=min(filter(None, (work.message.deadline, deadline)), default=None),
            hops=work.message.hops,
        )
        passed_on = {"origin": work.message.id, "gather": work.gather, "position": work.position}
        self.store(tx, route, message, stage, work.sensitive, secret=work.secret, **passed_on, **facts)
        return message.id

    def _onward(self, work: Work) -> tuple[Route, int]:
        route = self.routes.get(work.route)
        stage = route.by_station.get(work.station) if route is not None else None
        if route is None or stage is None:
            raise NoSuchTarget(f"the route {work.route} has no {work.station} any more")
        return route, stage.index + 1

    def split_child(self, tx: Tx, work: Work, child: Message, position: int, *, gathered: bool) -> None:
        """One item of a split, for the next stage of the same route."""
        route, stage = self._onward(work)
        of_split = {"origin": work.message.id, "position": position, "gather": work.seq if gathered else None}
        self.store(tx, route, child, stage, _found_in(child, work.sensitive), secret=work.secret, **of_split)

    def store(
        self,
        tx: Tx,
        route: Route,
        message: Message,
        stage: int,
        sensitive: tuple[str, ...] = (),
        *,
        secret: bool = False,
        **facts: Any,
    ) -> None:
        """Writes an emission; one that cannot enter its route is a dead letter there, not a failure of its sender.

        `sensitive` are the values to mask beside those of the route itself; `secret` seals it whatever the route says.
        """
        error: PipeError | None = None
        try:
            entry = route.entry(message, stage, counter="emitted", **facts)
            if message.hops > self.most_hops:
                error = TooManyHops(f"it has passed {message.hops} routes")
        except PipeError as failed:
            error = failed
            entry = Entry(message, route.stages[stage].stations, stage, route.revision, counter="emitted", **facts)
        entry.guard(sensitive, secret=secret or bool(route.config.sensitive))
        if entry.gather is not None:
            self.gathering.child_begins(tx, entry)
        works = journal.store(tx, entry, self._store.vault)
        if error is not None:
            self.bury(tx, works, error)

    def bury(self, tx: Tx, works: list[Work], error: PipeError) -> None:
        """Makes dead letters of deliveries that were just stored."""
        for work in works:
            self.end(
                tx, work, Outcome(DEAD, code=error.code, note=error.text, error=error, at=tx.now, attempted=False), []
            )


def _plain_reply(outcome: Outcome) -> Any:
    """What the partner answered, where that is plain values and small enough to go along."""
    receipt = outcome.extra.get("receipt")
    if receipt is None or not isinstance(receipt.body, (dict, list, str, int, float)):
        return None
    return receipt.body if len(codec.dump(receipt.body)) <= REPLY_LIMIT else None


def listeners_of(configuration: Configuration) -> dict[tuple[str, str], list[str]]:
    """Which routes wait for an outcome of another: (route, outcome) → names."""
    listeners: dict[tuple[str, str], list[str]] = {}
    # Two routes that each followed all others would follow one another for ever.
    others = [name for name, route in configuration.routes.items() if route.source.kind != "outcome"]
    for name, route in configuration.routes.items():
        if route.source.kind == "outcome":
            for of in route.source.of or others:
                for outcome in route.source.outcomes:
                    listeners.setdefault((of, outcome), []).append(name)
    return listeners


def _found_in(child: Message, sensitive: tuple[str, ...]) -> tuple[str, ...]:
    """The values of a split's message that its child must mask.

    All of them while they are few, so that a value within a longer text is masked too; of many only those that the
    child holds as they are, or a large file would be as heavy as the square of its rows.
    """
    if len(sensitive) <= ALL_TO_EACH_CHILD:
        return sensitive
    held: set[str] = set()
    for value in (child.body, child.item):
        leaves(value, held)
    return tuple(held.intersection(sensitive))
