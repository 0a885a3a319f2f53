"""What the journal's due times become when the wall clock is set: what waits keeps the pause that it was given.

Due times are stored as wall time, because they must outlive the process. When the clock steps while the gateway runs,
those from before the step move along with it. When it was set back between two runs, what was written after today's
time shows it: its pause begins anew.
"""

from __future__ import annotations

from pipe.store.statements import Statement
from pipe.store.transaction import Tx

_SHIFT = (
    Statement(
        "UPDATE delivery SET next_at = next_at + :step WHERE state IN ('retry', 'uncertain')"
        " AND next_at > :after AND next_at <= :until"
    ),
    Statement("UPDATE gather SET due_at = due_at + :step WHERE due_at > :after AND due_at <= :until"),
)
_AHEAD = Statement(
    "SELECT 1 FROM message WHERE seq = (SELECT max(seq) FROM message) AND received_at > :now"
    " UNION ALL SELECT 1 FROM delivery WHERE state = 'retry' AND next_at > :latest LIMIT 1"
)
_BEGIN_ANEW = (
    Statement(
        "UPDATE delivery SET next_at = :now + next_at"
        " - (SELECT max(a.at) FROM attempt a WHERE a.delivery = delivery.id)"
        " WHERE state IN ('retry', 'uncertain') AND next_at > :now"
        " AND (SELECT max(a.at) FROM attempt a WHERE a.delivery = delivery.id) > :now"
    ),
    Statement("UPDATE delivery SET next_at = :latest WHERE state = 'retry' AND next_at > :latest"),
    Statement(
        "UPDATE gather SET due_at = :now + due_at - (SELECT m.received_at FROM message m WHERE m.seq = gather.id)"
        " WHERE due_at > :now AND (SELECT m.received_at FROM message m WHERE m.seq = gather.id) > :now"
    ),
)
_EVER = 1e15
UNSEEN_S = 60.0
"""how long a step may go unseen at most: the scheduler looks every five seconds, on a machine that has time for it"""


def shift(tx: Tx, step: float) -> None:
    """Moves due times that were given before the clock stepped by so many seconds.

    Known by where they lie: after a step forward they are all in the past, after one back they are about as far away as
    the step, or further: what was due just then, and what became due before the step was seen, lies a little nearer.
    What was given since then lies on the other side, but for pauses longer than the step.
    """
    after, until = (-_EVER, tx.now) if step > 0 else (tx.now - step - min(-step / 2, UNSEEN_S), _EVER)
    for statement in _SHIFT:
        tx.run(statement, {"step": step, "after": after, "until": until})


def catch_up(tx: Tx, longest: float) -> bool:
    """At the start: pauses that were given when the clock was ahead begin now, and none is longer than `longest`.

    Returns whether the clock had been ahead.
    """
    latest = tx.now + longest
    if tx.run(_AHEAD, {"now": tx.now, "latest": latest}).fetchone() is None:
        return False
    for statement in _BEGIN_ANEW:
        tx.run(statement, {"now": tx.now, "latest": latest})
    return True
