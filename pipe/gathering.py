"""Counts the children of a split and emits once, when all are final or the time is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from pipe.contract import Message
from pipe.errors import PipeError
from pipe.redact import mask
from pipe.store import codec, schema
from pipe.store.journal import Entry, Outcome, Work
from pipe.store.statements import Statement
from pipe.store.transaction import Tx

if TYPE_CHECKING:
    from pipe.outcomes import Outcomes
    from pipe.route import Route

_BEGIN = Statement(
    "INSERT INTO gather_item (gather, position, open, item) VALUES (:gather, :position, :open, :item)"
    " ON CONFLICT (gather, position) DO UPDATE SET open = gather_item.open + excluded.open"
)
# A bad outcome of one target outweighs the good ones of others.
_END = Statement(
    "UPDATE gather_item SET open = open - 1,"
    " outcome = CASE WHEN outcome IS NULL OR outcome IN ('delivered', 'consumed', 'answered')"
    " THEN :outcome ELSE outcome END,"
    " reply = coalesce(:reply, reply), error = coalesce(:error, error)"
    " WHERE gather = :gather AND position = :position RETURNING open"
)
_DONE = Statement("UPDATE gather SET done = done + 1 WHERE id = :gather AND due_at IS NOT NULL RETURNING done, total")
_OPEN = Statement("INSERT INTO gather (id, route, total, done, due_at) VALUES (:gather, :route, NULL, 0, :due_at)")
_TOTAL = Statement("UPDATE gather SET total = :total WHERE id = :gather AND due_at IS NOT NULL RETURNING done, total")


class Gathering:
    """Runs on the writer's thread. A gather is open as long as its `due_at` is set."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    def begin(self, tx: Tx, split: Work, within: float) -> None:
        """Opens a gather for the message that is about to be split."""
        due_at = tx.now + within
        tx.run(_OPEN, {"gather": split.seq, "route": split.route, "due_at": due_at})
        tx.due(due_at)

    def child_begins(self, tx: Tx, entry: Entry) -> None:
        """Counts the deliveries of a child, or of what a flow made of it."""
        item = self._sealed(codec.dump(entry.message.item), secret=entry.secret) if entry.stage else None
        tx.run(_BEGIN, {"gather": entry.gather, "position": entry.position, "open": len(entry.stations), "item": item})

    def child_ended(self, tx: Tx, work: Work, outcome: Outcome) -> None:
        """Counts an outcome; the last one of all emits."""
        answer = outcome.extra.get("gathered", outcome.reply)
        # Sealed whatever the route says: an answer that nobody looked through may say anything.
        reply = None if answer is None else self._sealed(answer, secret=True)
        error = mask(outcome.note, work.sensitive) if outcome.code and outcome.note else None
        at = {"gather": work.gather, "position": work.position}
        row = tx.run(_END, {**at, "outcome": outcome.state, "reply": reply, "error": error}).fetchone()
        if row is not None and row[0] == 0:
            self._emit_if_whole(tx, work.gather, tx.run(_DONE, {"gather": work.gather}).fetchone())

    def split_ended(self, tx: Tx, split: Work, total: int) -> None:
        """Says how many children there are."""
        self._emit_if_whole(tx, split.seq, tx.run(_TOTAL, {"gather": split.seq, "total": total}).fetchone())

    def reopen(self, tx: Tx, work: Work) -> None:
        """A child's dead delivery is tried again: it counts as open until it is final, if its gather still waits."""
        items = schema.gather_item
        row = tx.execute(
            select(items.c.open).where(items.c.gather == work.gather, items.c.position == work.position)
        ).first()
        if row is None:
            return
        at_this = (items.c.gather == work.gather) & (items.c.position == work.position)
        tx.execute(update(items).where(at_this).values(open=items.c.open + 1, outcome=None, error=None))
        if row.open == 0:
            tx.execute(
                update(schema.gather).where(schema.gather.c.id == work.gather).values(done=schema.gather.c.done - 1)
            )

    def _emit_if_whole(self, tx: Tx, gather: int | None, row: Any) -> None:
        if row is not None and row[1] is not None and row[0] >= row[1] and gather is not None:
            self.emit(tx, gather)

    def emit(self, tx: Tx, gather: int) -> None:
        """Emits what there is and closes the gather."""
        tx.execute(update(schema.gather).where(schema.gather.c.id == gather).values(due_at=None))
        m = schema.message.c
        parent = tx.execute(select(schema.message).where(m.seq == gather)).mappings().one()
        route: Route | None = self._outcomes.routes.get(parent["route"])
        if route is None or route.gather_stage is None:
            return
        try:
            origin = self._outcomes.original(parent)
        except PipeError:  # its body is gone or damaged; of its parent a result needs no more than the name
            origin = Message(parent["id"], route.name, b"")
        body = [
            self._result(row)
            for row in tx.execute(
                select(schema.gather_item)
                .where(schema.gather_item.c.gather == gather)
                .order_by(schema.gather_item.c.position)
            ).mappings()
        ]
        message = Message(
            tx.new_id(),
            route.name,
            body,
            origin.headers,
            received_at=tx.now,
            parent=parent_of(origin),
            hops=origin.hops,
        )
        known, secret = self._sensitive(tx, gather), parent["sealed"] is not None
        self._outcomes.store(tx, route, message, route.gather_stage.index, known, secret=secret, origin=origin.id)

    def _result(self, row: Any) -> dict[str, Any]:
        reply = self._opened(row["reply"])
        return {
            "index": row["position"],
            "outcome": row["outcome"] if row["open"] == 0 else "pending",
            "item": self._opened(row["item"]),
            "reply": reply["body"] if isinstance(reply, dict) else None,
            "error": row["error"],
        }

    def _sensitive(self, tx: Tx, gather: int) -> tuple[str, ...]:
        """What was sensitive in the children is so in what is made of them."""
        m = schema.message.c
        rows = tx.execute(select(m.id, m.sealed).where(m.gather == gather, m.sealed.is_not(None)))
        found = (codec.load(self._outcomes.vault.open(bytes(row.sealed), f"{row.id} sensitive")) for row in rows)
        return tuple({value for values in found for value in values})

    def _sealed(self, data: bytes, *, secret: bool) -> bytes:
        return b"+" + self._outcomes.vault.seal(data, "gather") if secret else data

    def _opened(self, data: bytes | None) -> Any:
        if data is None:
            return None
        data = bytes(data)
        return codec.load(self._outcomes.vault.open(data[1:], "gather") if data[:1] == b"+" else data)


def parent_of(message: Message) -> dict[str, Any]:
    """What children know of the message they came from."""
    name = message.headers.get("file_name", "")
    stem = name.rpartition("/")[2]
    return {"id": message.id, "name": stem.rpartition(".")[0] or stem or message.id, "headers": dict(message.headers)}
