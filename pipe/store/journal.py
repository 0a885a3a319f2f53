"""The journal's units: accept messages, end deliveries, put them off, give the key to the next in order.

All functions run on the writer's thread inside a transaction. What they hand to `tx.ready` reaches the engine's queues
after the commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipe.contract import Message, Wire
from pipe.errors import PipeError, sayable
from pipe.redact import mask
from pipe.store import codec
from pipe.store import journal_sql as sql
from pipe.store.schema import ANSWERING, DEAD, FINAL, HELD, READY, RETRY, TIMER, UNCERTAIN
from pipe.store.transaction import Tx
from pipe.store.vault import Vault

NOTE_LIMIT = 2000
_CRC = 4
REPLY_LIMIT = 64 << 10
"""bytes of a partner's answer that are kept with the attempt"""


@dataclass(slots=True)
class Work:
    """A delivery in memory, with its message."""

    id: int
    seq: int
    route: str
    station: str
    message: Message
    revision: str
    stage: int
    order_key: str | None = None
    expires_at: float | None = None
    attempts: int = 0
    spent: float = 0.0
    crashes: int = 0
    cursor: int = 0
    size: int = 0
    state: str = READY
    sensitive: tuple[str, ...] = ()
    secret: bool = False
    """whether it is sealed at rest: it came through a route with `sensitive:`, whatever was found in it"""
    gather: int | None = None
    position: int | None = None
    output: Message | None = None
    """what the route's steps made of it, stored before a second attempt"""
    own_output: Message | None = None
    """what the target's own steps made of that"""
    decoded: Message | None = None
    """what the door's steps made of it; only in memory, until the first attempt"""
    paced: bool = False
    """its connection's rates gave it a place already"""


@dataclass(slots=True)
class Entry:
    """A message about to be stored, for one stage of a route."""

    message: Message
    stations: tuple[str, ...]
    stage: int = 0
    revision: str = ""
    order_key: str | None = None
    subject: str | None = None
    sensitive: tuple[str, ...] = ()
    secret: bool = False
    """see Work"""
    at: float | None = None
    cancel_key: str | None = None
    origin: str | None = None
    position: int | None = None
    gather: int | None = None
    decoded: Message | None = None
    """what the door's steps made of it, so that they need not run again"""
    answering: str | None = None
    """the station whose answer a caller waits for"""
    counter: str = "accepted"
    wire: Wire | None = None
    """what came over the line, for people to look at"""

    def guard(self, sensitive: Iterable[str], *, secret: bool) -> None:
        """Takes over what must be masked, and whether it is sealed, from the message that this one was made of."""
        self.secret = self.secret or secret
        self.sensitive = tuple(sorted({*self.sensitive, *sensitive}, key=len, reverse=True))


@dataclass(slots=True)
class Outcome:
    """How an attempt, or a delivery, ended."""

    state: str
    code: str | None = None
    status: str | None = None
    note: str | None = None
    ms: float = 0.0
    at: float = 0.0
    reply: bytes | None = None
    next_at: float | None = None
    error: PipeError | None = None
    step: str | None = None
    place: str | None = None
    body_at_step: Any = None
    maybe_delivered: bool = False
    traceback: str | None = None
    attempted: bool = True
    """False where no attempt was made: an expired, filtered or discarded delivery"""
    output: Any = None
    output_own: Any = None
    extra: dict[str, Any] = field(default_factory=dict)


def store(tx: Tx, entry: Entry, vault: Vault) -> list[Work]:
    """Writes a message and its deliveries; hands those that can go at once to the engine."""
    message, secret = entry.message, vault if entry.secret else None
    kind, body, size = codec.pack(message.body, secret, message.id)
    envelope = codec.envelope(message, secret, entry.wire)
    seq = tx.number("message")
    tx.later(
        sql.MESSAGES,
        (
            seq, message.id, message.route, entry.stage, entry.revision, message.received_at, kind, body, size,
            envelope, codec.checksum(message.id, body, envelope), entry.order_key, entry.subject,
            message.parent["id"] if message.parent else None, entry.position, entry.gather,
            entry.cancel_key, entry.origin,
            vault.seal(codec.dump(entry.sensitive), f"{message.id} sensitive") if entry.secret else None,
        ),
    )  # fmt: skip
    works = [_deliver(tx, entry, seq, size, station) for station in entry.stations]
    tx.count(message.route, entry.counter, len(works))
    tx.weigh(message.route, size * len(works))
    return works


def _deliver(tx: Tx, entry: Entry, seq: int, size: int, station: str) -> Work:
    message = entry.message
    order_key = entry.order_key if entry.at is None else None  # a timer takes no place in its key's order
    work = Work(
        tx.number("delivery"), seq, message.route, station, message, entry.revision, entry.stage,
        order_key, message.deadline, size=size, sensitive=entry.sensitive, secret=entry.secret,
        gather=entry.gather, position=entry.position,
    )  # fmt: skip
    work.state, work.decoded = _first_state(tx, entry, station, order_key), entry.decoded
    tx.later(
        sql.DELIVERIES,
        (
            work.id, seq, message.route, station, work.state, order_key, entry.at if work.state == TIMER else None,
            # A caller's patience ends its wait, not the question whether the partner did what it was asked.
            None if work.state == ANSWERING else message.deadline,
            0, 0.0, 0, 0, size,
        ),
        None if order_key is None else (message.route, station, order_key),
    )  # fmt: skip
    if work.state == READY:
        tx.ready(work)
    if work.state == TIMER and entry.at is not None:
        tx.due(entry.at)
    if message.deadline is not None:
        tx.due(message.deadline)
    return work


def _first_state(tx: Tx, entry: Entry, station: str, order_key: str | None) -> str:
    if station == entry.answering:
        return ANSWERING
    if entry.at is not None and entry.at > tx.now:
        return TIMER
    if order_key is None:
        return READY
    route = entry.message.route
    lane = {"route": route, "station": station, "order_key": order_key}
    if tx.find(sql.BUSY_LANE, lane, sql.DELIVERIES, (route, station, order_key)).fetchone():
        return HELD
    return READY


def end(tx: Tx, work: Work, outcome: Outcome, vault: Vault) -> bool:
    """Ends a delivery: state, ledger, attempt, dead letter, the next of its key. False where a person was faster."""
    assert outcome.state in FINAL
    row = _row(work, outcome) | {"state": outcome.state, "done_at": tx.now}
    if tx.run(sql.END, row).rowcount == 0:
        _overtaken(tx, work, outcome)
        return False
    if outcome.attempted and (work.attempts > 1 or outcome.state == DEAD):
        tx.run(sql.ATTEMPT, _attempt_row(work, outcome))
    if outcome.error is not None:
        tx.run(sql.DEAD, _dead_row(work, outcome, vault))
    keep_output(tx, work, outcome, vault)
    _count_end(tx, work, outcome)
    if work.order_key is not None:
        give_way(tx, work.route, work.station, work.order_key)
    return True


def is_plain(work: Work, outcome: Outcome) -> bool:
    """Whether an end leaves no more than a state behind: no attempt, dead letter, output, nor a next of its key."""
    return (
        outcome.error is None
        and outcome.output is None
        and outcome.output_own is None
        and work.order_key is None
        and (work.attempts <= 1 or not outcome.attempted)
        and outcome.state != DEAD
    )


def end_plain(tx: Tx, work: Work, outcome: Outcome) -> None:
    """What `end` does, for one that `is_plain`: written together with those of other units."""
    assert outcome.state in FINAL

    def then(tx: Tx, found: bool) -> None:
        if found:
            _count_end(tx, work, outcome)
        else:
            _overtaken(tx, work, outcome)

    note = _note(outcome.note, work)
    tx.later(
        sql.ENDS,
        (work.id, outcome.state, tx.now, work.attempts, work.spent, outcome.code, _status(outcome), note, outcome.ms),
        then=then,
    )


def _count_end(tx: Tx, work: Work, outcome: Outcome) -> None:
    tx.ended(work.id)
    tx.count(work.route, outcome.state)
    tx.weigh(work.route, -work.size)


def _overtaken(tx: Tx, work: Work, outcome: Outcome) -> None:
    """A person ended it meanwhile; what the partner said all the same is kept."""
    if outcome.attempted:
        tx.run(sql.ATTEMPT, _attempt_row(work, outcome) | {"outcome": f"late {outcome.state}"})


def put_off(tx: Tx, work: Work, outcome: Outcome, vault: Vault) -> bool:
    """Stores that a delivery waits (retry or uncertain) and until when. False where a person ended it meanwhile."""
    assert outcome.state in (RETRY, UNCERTAIN)
    if tx.run(sql.PUT_OFF, _row(work, outcome) | {"next_at": outcome.next_at}).rowcount == 0:
        return False
    if outcome.attempted:
        tx.run(sql.ATTEMPT, _attempt_row(work, outcome))
    keep_output(tx, work, outcome, vault)
    if outcome.next_at is not None:
        tx.due(outcome.next_at)
    return True


def make_ready(tx: Tx, delivery: int, note: str) -> bool:
    """A waiting delivery may go again at once; hands nothing to the engine. False where it is final."""
    return bool(tx.run(sql.MAKE_READY, {"id": delivery, "note": note}).rowcount)


def keep_output(tx: Tx, work: Work, outcome: Outcome, vault: Vault) -> None:
    """Stores what the steps made, where another attempt or another target still needs it."""
    secret = vault if work.secret else None
    pending = outcome.state in (RETRY, UNCERTAIN)
    if outcome.output is not None and (pending or tx.run(sql.SIBLINGS, {"seq": work.seq, "id": work.id}).fetchone()):
        kind, data = pack_message(outcome.output, secret)
        tx.run(sql.OUTPUT, {"kind": kind, "data": data, "seq": work.seq})
    if outcome.output_own is not None and pending:
        kind, data = pack_message(outcome.output_own, secret)
        tx.run(sql.OWN_OUTPUT, {"kind": kind, "data": data, "id": work.id})


def give_way(tx: Tx, route: str, station: str, order_key: str) -> None:
    """Makes the next delivery of a key ready, where the first one is done."""
    row = tx.run(sql.NEXT_IN_LANE, {"route": route, "station": station, "order_key": order_key}).fetchone()
    if row is not None:
        tx.ready((route, station, row[0]))


def pack_message(message: Message, vault: Vault | None) -> tuple[str, bytes]:
    """An intermediate message (its body may be bytes, values or a blob) in one value."""
    kind, body, _ = codec.pack(message.body, None, "")
    data = codec.dump([kind, codec.envelope(message).decode()]) + b"\n" + body
    if vault is not None:
        return "sealed", vault.seal(data, f"{message.id} output")
    return "plain", codec.checksum(message.id, data, b"").to_bytes(_CRC, "big") + data


def unpack_message(kind: str, data: bytes, original: Message, blobs: Any, vault: Vault) -> Message:
    """The message that `pack_message` was given."""
    if kind == "sealed":
        data = vault.open(data, f"{original.id} output")
    else:
        expected, data = int.from_bytes(data[:_CRC], "big"), data[_CRC:]
        codec.verify(original.id, data, b"", expected)
    head, _, body = data.partition(b"\n")
    body_kind, envelope = codec.load(head)
    return original.but(body=codec.unpack(body_kind, body, blobs, vault, ""), **whole(codec.load(envelope.encode())))


def whole(fields: dict[str, Any]) -> dict[str, Any]:
    """An envelope's fields, the empty ones included."""
    return {"headers": {}, "params": {}, "query": {}, "content_type": None, **fields}


def _row(work: Work, outcome: Outcome) -> dict[str, Any]:
    note = _note(outcome.note, work)
    return {
        "id": work.id, "state": outcome.state, "attempts": work.attempts, "spent": work.spent, "code": outcome.code,
        "status": _status(outcome), "note": note, "ms": outcome.ms, "cursor": work.cursor,
    }  # fmt: skip


def _attempt_row(work: Work, outcome: Outcome) -> dict[str, Any]:
    return {
        "delivery": work.id, "at": outcome.at, "ms": outcome.ms, "outcome": outcome.state, "code": outcome.code,
        "status": _status(outcome), "note": _note(outcome.note, work), "revision": work.revision,
        "reply": mask(outcome.reply, work.sensitive) if outcome.reply else None,
    }  # fmt: skip


def _dead_row(work: Work, outcome: Outcome, vault: Vault) -> dict[str, Any]:
    error = outcome.error
    assert error is not None
    kind, body = None, None
    if outcome.body_at_step is not None:
        about = f"{work.message.id} dead"
        kind, body, _ = codec.pack(outcome.body_at_step, vault if work.secret else None, about)
    return {
        "delivery": work.id, "class": outcome.extra.get("class", error.slug()), "code": error.code,
        "note": _note(outcome.note or error.text, work), "hint": error.hint,
        "step": outcome.step, "place": outcome.place, "revision": work.revision,
        "body_kind": kind, "body": body, "maybe_delivered": int(outcome.maybe_delivered), "crashes": work.crashes,
        "traceback": sayable(mask(outcome.traceback, work.sensitive)) if outcome.traceback else None,
    }  # fmt: skip


def _note(note: str | None, work: Work) -> str | None:
    return sayable(mask(note, work.sensitive))[:NOTE_LIMIT] if note else None


def _status(outcome: Outcome) -> str | None:
    return sayable(outcome.status) if outcome.status else outcome.status
