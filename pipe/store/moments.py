"""Between which numbers the messages of a time lie, so that a search does not pass all that is older or newer.

Numbers follow time only nearly: what a split cuts off bears its parent's time, and clocks are set back. So the earliest
and the latest time of each block of numbers are remembered, which leaves out no message whatever its time is.
"""

from __future__ import annotations

import math
import threading

from sqlalchemy import Connection, func, select, text

from pipe.store.schema import delivery, message

BLOCK = 4096
_AT_ONCE = 64
"""blocks that are read by their numbers; of more, the indexes over routes and times are read, which are smaller"""
M, D = message.c, delivery.c
_TIMES = "SELECT seq / :block, min(received_at), max(received_at) FROM message WHERE {} GROUP BY 1"
_KEPT, _GONE = text(_TIMES.format("kind <> 'gone'")), text(_TIMES.format("kind = 'gone'"))
_RANGE = text(_TIMES.format("seq >= :first AND seq < :end"))


class Moments:
    """Of one store; a block that is full never changes, but for what is pruned. Threads may ask at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: list[tuple[float, float]] = []
        """earliest and latest time of each that is full, by its number"""

    def deliveries(self, connection: Connection, since: float | None, until: float | None) -> tuple[int, int] | None:
        """The lowest and the highest number that a delivery of a message of that time may have; None: there is none."""
        first, last = -math.inf if since is None else since, math.inf if until is None else until
        with self._lock:
            self._grow(connection)
            blocks = list(self._blocks)
        low = next((at * BLOCK for at, (_, latest) in enumerate(blocks) if latest >= first), None)
        high = next((at * BLOCK + BLOCK - 1 for at in reversed(range(len(blocks))) if blocks[at][0] < last), None)
        begun = select(func.min(M.seq), func.max(M.seq)).where(
            M.seq >= len(blocks) * BLOCK, M.received_at >= first, M.received_at < last
        )
        begin, end = connection.execute(begun).one()
        low, high = begin if low is None else low, high if end is None else end
        return None if low is None or high is None else _numbers(connection, low, high)

    def _grow(self, connection: Connection) -> None:
        newest = connection.execute(select(M.seq).order_by(M.seq.desc()).limit(1)).scalar() or 0
        known, full = len(self._blocks), newest // BLOCK
        if full == known:
            return
        blocks = [(math.inf, -math.inf)] * (full - known)
        found = (
            connection.execute(_RANGE, {"block": BLOCK, "first": known * BLOCK, "end": full * BLOCK}).all()
            if full - known <= _AT_ONCE
            else [row for query in (_KEPT, _GONE) for row in connection.execute(query, {"block": BLOCK})]
        )
        for at, earliest, latest in found:
            if known <= at < full:
                before = blocks[at - known]
                blocks[at - known] = min(before[0], earliest), max(before[1], latest)
        self._blocks += blocks


def _numbers(connection: Connection, low: int, high: int) -> tuple[int, int] | None:
    """The same of deliveries: they are numbered together with their messages."""
    first = select(D.id).where(D.message >= low).order_by(D.message, D.id).limit(1)
    last = select(D.id).where(D.message <= high).order_by(D.message.desc(), D.id.desc()).limit(1)
    begin, end = connection.execute(first).scalar(), connection.execute(last).scalar()
    return None if begin is None or end is None or begin > end else (begin, end)
