"""Wipes a subject's data: what it is, where it is, and the units that make it vanish.

Rows, states and totals stay, so that the books still balance; what the rows held is gone, and so are the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, column, delete, exists, inspect, or_, select, table, update

from pipe.store import codec
from pipe.store.erasures import Erasure
from pipe.store.retention import GONE
from pipe.store.schema import attempt, dead_letter, delivery, erasure, gather_item, idempotency, message
from pipe.store.transaction import Tx

AT_ONCE = 100
"""messages wiped in one commit"""
IN_LIST = 500
ERASED = "erased"
M = message.c

Places = Sequence[tuple[str, str]]
"""tables and columns of flows: see `pipe.contract.Flow.subjects`"""


@dataclass(frozen=True, slots=True)
class Reach:
    """Messages that hold a subject's data, by `seq`."""

    own: tuple[int, ...]
    """the subject's, and all that came of them"""
    shared: tuple[int, ...]
    """those that they were cut from, and what else was made of these: they hold others' data too"""


def reach(connection: Connection, sought: Erasure) -> Reach:
    """Where the data of a subject is. Messages that have a subject of their own are left to that one."""
    start = _links().where(M.subject == sought.subject, M.received_at <= sought.at)
    own = connection.execute(_down(start, whole=False)).fetchall()
    elders = _up(connection, own, sought.subject)
    shared = {row.seq for row in elders}
    for chunk in _chunks(sorted(shared)):
        # Items of a split are left out, each is its own subject's; what was gathered or copied of the whole is not.
        shared |= {row.seq for row in connection.execute(_down(_links().where(M.seq.in_(chunk)), whole=True))}
    mine = {row.seq for row in own}
    return Reach(tuple(sorted(mine)), tuple(sorted(shared - mine)))


def _links() -> Select[Any]:
    return select(M.seq, M.id, M.origin, M.parent)


def _down(start: Select[Any], *, whole: bool) -> Select[Any]:
    """What came of messages, at any depth; of those that were split only what is still `whole`."""
    elder, young = start.cte("down", recursive=True), message.alias("young")
    came = or_(young.c.origin == elder.c.id, young.c.parent == elder.c.id)
    condition = came & young.c.position.is_(None) if whole else came
    # UNION, not UNION ALL: what goes round in a circle is met once.
    reached = elder.union(select(young.c.seq, young.c.id, young.c.origin, young.c.parent).join(elder, condition))
    return select(reached.c.seq, reached.c.id, reached.c.origin, reached.c.parent)


def _up(connection: Connection, young: Sequence[Any], subject: str) -> list[Any]:
    """What messages came from, at any depth, where that is nobody else's."""
    found: list[Any] = []
    seen: set[str] = set()
    while names := {name for row in young for name in (row.origin, row.parent) if name is not None} - seen:
        seen |= names
        young = []
        for chunk in _chunks(sorted(names)):
            unclaimed = or_(M.subject.is_(None), M.subject == subject)
            young += connection.execute(_links().where(M.id.in_(chunk), unclaimed)).fetchall()
        found += young
    return found


def pending(connection: Connection, seqs: Sequence[int]) -> list[Any]:
    """Deliveries of these messages that are not done: id, message's seq and id, route, station, state."""
    d = delivery.c
    columns = select(d.id, d.message, M.id.label("message_id"), d.route, d.station, d.state)
    rows: list[Any] = []
    for chunk in _chunks(seqs):
        query = columns.join(message, M.seq == d.message).where(d.message.in_(chunk), d.done_at.is_(None))
        rows += connection.execute(query.order_by(d.id)).fetchall()
    return rows


def unwiped(connection: Connection, seqs: Sequence[int]) -> list[int]:
    """Those that still hold something, the oldest first."""
    rows: list[int] = []
    for chunk in _chunks(seqs):
        rows += connection.execute(select(M.seq).where(M.seq.in_(chunk), M.kind != GONE).order_by(M.seq)).scalars()
    return rows


def wipe(tx: Tx, seqs: Sequence[int], places: Places) -> tuple[int, list[str]]:
    """Wipes those of these messages that are done; how many, and the blobs whose key is gone with them."""
    if tx.dialect == "sqlite":
        # Without it the bytes would stay in the file, in free pages and at the ends of cells.
        tx.execute_text("PRAGMA secure_delete = ON")
    d = delivery.c
    open_ = exists().where(d.message == M.seq, d.done_at.is_(None))
    done = select(M.seq, M.id, M.kind, M.body, M.gather, M.position).where(M.seq.in_(seqs), M.kind != GONE, ~open_)
    rows = tx.execute(done).fetchall()
    if not rows:
        return 0, []
    _messages(tx, rows)
    finished = [row.seq for row in rows]
    _deliveries(tx, finished)
    tx.execute(update(gather_item).where(gather_item.c.gather.in_(finished)).values(**_NOTHING_GATHERED))
    tx.execute(delete(idempotency).where(idempotency.c.message.in_(finished)))
    _of_flows(tx, places, [row.id for row in rows])
    if tx.dialect == "sqlite":
        tx.execute_text("PRAGMA secure_delete = OFF")
    return len(rows), [codec.load(bytes(row.body))[0] for row in rows if row.kind == "blob"]


def finish(tx: Tx, id: str, sought: Erasure, places: Places) -> None:
    """Takes the last traces away: the subject's hash and what flows keep under it."""
    if tx.dialect == "sqlite":
        tx.execute_text("PRAGMA secure_delete = ON")
    tx.execute(update(message).where(M.subject == sought.subject, M.received_at <= sought.at).values(subject=None))
    _of_flows(tx, places, [sought.subject])
    tx.execute(update(erasure).where(erasure.c.id == id).values(done_at=tx.now))
    if tx.dialect == "sqlite":
        tx.execute_text("PRAGMA secure_delete = OFF")


def unfinished(connection: Connection) -> list[Any]:
    """Erasures that are not through, the oldest first."""
    return list(connection.execute(select(erasure).where(erasure.c.done_at.is_(None)).order_by(erasure.c.at)))


def every(connection: Connection) -> list[Erasure]:
    """All that this store knows of."""
    rows = connection.execute(select(erasure.c.at, erasure.c.subject).order_by(erasure.c.at))
    return [Erasure(row.at, row.subject) for row in rows]


# --- parts --------------------------------------------------------------------------------------------------------

_NOTHING_GATHERED = {"reply": None, "error": None, "item": None}


def _messages(tx: Tx, rows: Sequence[Any]) -> None:
    emptied = {
        "kind": GONE, "body": b"", "envelope": b"{}", "output": None, "output_kind": None, "sealed": None,
        "order_key": None, "cancel_key": None,
    }  # fmt: skip
    tx.execute(
        update(message).where(M.seq == bindparam("at")).values(checksum=bindparam("sum"), **emptied),
        [{"at": row.seq, "sum": codec.checksum(row.id, b"", b"{}")} for row in rows],
    )
    for row in rows:
        if row.gather is not None:
            item = (gather_item.c.gather == row.gather, gather_item.c.position == row.position)
            tx.execute(update(gather_item).where(*item).values(**_NOTHING_GATHERED))


def _deliveries(tx: Tx, seqs: list[int]) -> None:
    ids = select(delivery.c.id).where(delivery.c.message.in_(seqs))
    of_message = delivery.c.message.in_(seqs)
    # What partners and steps said may name the person. The state, and the code of the error, tell enough.
    tx.execute(update(delivery).where(of_message).values(output=None, output_kind=None, order_key=None, note=ERASED))
    tx.execute(update(attempt).where(attempt.c.delivery.in_(ids)).values(reply=None, note=None))
    letter = {"body": None, "body_kind": None, "note": ERASED, "hint": "", "traceback": None}
    tx.execute(update(dead_letter).where(dead_letter.c.delivery.in_(ids)).values(**letter))


def _of_flows(tx: Tx, places: Places, values: list[str]) -> None:
    present = inspect(tx.connection)
    for name, column_name in places:
        if present.has_table(name):  # a flow that is new has no table before the next start
            rows = table(name, column(column_name))
            tx.execute(delete(rows).where(rows.c[column_name].in_(values)))


def _chunks(numbers: Iterable[Any]) -> Iterator[list[Any]]:
    given = list(numbers)
    for begin in range(0, len(given), IN_LIST):
        yield given[begin : begin + IN_LIST]
