"""Removes what has been kept long enough, a little at a time, and gives the space back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import ColumnClause, Connection, bindparam, delete, exists, func, literal_column, select, update

from pipe.config.models import Retention
from pipe.store import codec
from pipe.store.schema import (
    DEAD,
    EXPIRED,
    attempt,
    dead_letter,
    delivery,
    feed,
    gather,
    gather_item,
    idempotency,
    identity,
    message,
)
from pipe.store.transaction import Tx

AT_ONCE = 200
GONE = "gone"
_SAYS_GONE: ColumnClause[str] = literal_column(f"'{GONE}'")
"""written out: the indexes over what is gone and what is not are for this word, not for a parameter"""
FEED_KEPT_S = 7 * 86400.0
IDENTITY_KEPT_S = 90 * 86400.0
PAGES_AT_ONCE = 500
"""of 4 KiB, given back in one commit: some 15 ms"""


@dataclass(slots=True)
class Pruned:
    """How many were removed in one round; `more` where another round would find more."""

    bodies: int = 0
    dead: int = 0
    messages: int = 0
    more: bool = False
    seqs: list[int] = field(default_factory=list)
    """messages whose bodies were removed"""


def prune(tx: Tx, keep: Callable[[str], Retention], routes: list[str]) -> Pruned:
    """One round over all routes. Only what is final is touched; totals of the ledger never change."""
    pruned = Pruned()
    for route in routes:
        limits = keep(route)
        _bodies(tx, route, tx.now - limits.bodies, tx.now - limits.dead, pruned)
        _messages(tx, route, tx.now - limits.metadata, pruned)
    tx.execute(delete(idempotency).where(idempotency.c.expires_at <= tx.now))
    tx.execute(delete(identity).where(identity.c.at <= tx.now - IDENTITY_KEPT_S))
    # The newest event stays: numbers go on from it, and no reader's Last-Event-ID may point beyond the end.
    newest = select(func.max(feed.c.seq)).scalar_subquery()
    tx.execute(delete(feed).where(feed.c.at <= tx.now - FEED_KEPT_S, feed.c.seq < newest))
    return pruned


def shrink(tx: Tx) -> bool:
    """Gives freed pages back to the file system, in pieces, so that no commit waits for all; whether there are more."""
    if tx.dialect != "sqlite":
        return False  # PostgreSQL's own autovacuum does it
    cursor = tx.connection.connection.cursor()
    cursor.execute("PRAGMA freelist_count")
    free: int = cursor.fetchall()[0][0]
    for _ in range(min(free, PAGES_AT_ONCE)):
        # One page is one step: the driver takes the first step of a statement that has no columns, and no other.
        cursor.execute("PRAGMA incremental_vacuum(1)")
        cursor.fetchall()
    cursor.close()
    return free > PAGES_AT_ONCE


def _bodies(tx: Tx, route: str, delivered_before: float, dead_before: float, pruned: Pruned) -> None:
    """Wipes bodies of finished messages; of those with a dead letter only when dead letters are no longer kept."""
    m, d = message.c, delivery.c
    open_ = exists().where(d.message == m.seq, d.done_at.is_(None))
    kept = exists().where(d.message == m.seq, d.state.in_((DEAD, EXPIRED)), d.done_at > dead_before)
    waiting = exists().where(gather.c.id == m.gather, gather.c.due_at.is_not(None))
    query = select(m.seq, m.id).where(m.route == route, m.kind != _SAYS_GONE, m.received_at <= delivered_before)
    rows = tx.execute(query.where(~open_, ~kept, ~waiting).order_by(m.received_at).limit(AT_ONCE)).fetchall()
    if not rows:
        return
    seqs = [row.seq for row in rows]
    # Few statements for many rows: whoever waits for the writer waits for all of them.
    empty = {"body": b"", "envelope": b"{}", "output": None, "output_kind": None, "sealed": None}
    tx.execute(
        update(message).where(m.seq == bindparam("at")).values(kind=GONE, checksum=bindparam("sum"), **empty),
        [{"at": row.seq, "sum": codec.checksum(row.id, b"", b"{}")} for row in rows],
    )
    deliveries = select(d.id).where(d.message.in_(seqs))
    tx.execute(update(delivery).where(d.message.in_(seqs), d.output.is_not(None)).values(output=None))
    tx.execute(
        update(attempt).where(attempt.c.delivery.in_(deliveries), attempt.c.reply.is_not(None)).values(reply=None)
    )
    letters = update(dead_letter).where(dead_letter.c.delivery.in_(deliveries)).values(body=None, body_kind=None)
    pruned.dead += len(tx.execute(letters.returning(dead_letter.c.delivery)).fetchall())
    pruned.bodies += len(rows)
    pruned.seqs += seqs
    pruned.more = pruned.more or len(rows) == AT_ONCE


def _messages(tx: Tx, route: str, before: float, pruned: Pruned) -> None:
    """Removes the whole story of finished messages whose bodies are gone already."""
    m, d = message.c, delivery.c
    open_ = exists().where(d.message == m.seq, d.done_at.is_(None))
    waiting = exists().where(gather.c.id == m.seq, gather.c.due_at.is_not(None))
    query = select(m.seq).where(m.route == route, m.kind == _SAYS_GONE, m.received_at <= before, ~open_, ~waiting)
    seqs = [row.seq for row in tx.execute(query.order_by(m.received_at).limit(AT_ONCE))]
    if not seqs:
        return
    # Totals never shrink: what went is counted beside them, so that `ledger verify` can still account for every row.
    states = select(d.state, func.count().label("n")).where(d.message.in_(seqs)).group_by(d.state)
    for row in tx.execute(states).fetchall():
        tx.count(route, f"pruned:{row.state}", row.n)
    deliveries = select(d.id).where(d.message.in_(seqs))
    tx.execute(delete(attempt).where(attempt.c.delivery.in_(deliveries)))
    tx.execute(delete(dead_letter).where(dead_letter.c.delivery.in_(deliveries)))
    tx.execute(delete(delivery).where(d.message.in_(seqs)))
    tx.execute(delete(gather_item).where(gather_item.c.gather.in_(seqs)))
    tx.execute(delete(gather).where(gather.c.id.in_(seqs)))
    tx.execute(delete(idempotency).where(idempotency.c.message.in_(seqs)))
    tx.execute(delete(message).where(m.seq.in_(seqs)))
    pruned.messages += len(seqs)
    pruned.more = pruned.more or len(seqs) == AT_ONCE


def blob_names(connection: Connection) -> set[str]:
    """The files that rows still name."""
    rows = connection.execute(select(message.c.body).where(message.c.kind == literal_column("'blob'")))
    return {codec.load(bytes(row.body))[0] for row in rows}
