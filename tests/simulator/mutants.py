"""Defects that are planted into the gateway of this process, to show that the simulator finds such."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any
from unittest.mock import patch

from sqlalchemy import update

from pipe.contract import Receipt
from pipe.door import RouteDoor, Stored
from pipe.errors import Refused
from pipe.gathering import Gathering
from pipe.outcomes import Outcomes
from pipe.retry import RetryPolicy
from pipe.stations.target import TargetStation
from pipe.store import journal, journal_sql, schema
from pipe.store.schema import DEAD, DELIVERED, READY
from pipe.store.statements import Statement

SELDOM = 20
"""what is planted happens to one in so many"""
Planted = AbstractContextManager[Any]


def _drops() -> Planted:
    """One in twenty is delivered without being sent."""
    send, n = TargetStation.send, count(1)

    async def dropping(self: TargetStation, *arguments: Any) -> Any:
        return (Receipt(200), False) if next(n) % SELDOM == 0 else await send(self, *arguments)

    return patch.object(TargetStation, "send", dropping)


def _acknowledges_early() -> Planted:
    """The client hears that it is accepted before it is on disk."""
    store = RouteDoor._store

    async def early(self: RouteDoor, route: Any, arrival: Any, entry: Any, scope: Any) -> Stored:
        storing = asyncio.ensure_future(store(self, route, arrival, entry, scope))
        if route.synchronous or scope is not None:
            return await storing
        storing.add_done_callback(lambda done: done.cancelled() or done.exception())
        return Stored(entry.message.id, [])

    return patch.object(RouteDoor, "_store", early)


def _swaps() -> Planted:
    """Of those that wait behind one of their key, the last goes next."""
    text = journal_sql.NEXT_IN_LANE.sql["sqlite"]
    assert "min(id)" in text
    return patch.object(journal_sql, "NEXT_IN_LANE", Statement(text.replace("min(id)", "max(id)")))


def _buries_delivered() -> Planted:
    """One in twenty of what was delivered is a dead letter."""
    finish, n = Outcomes.finish, count(1)

    def burying(self: Outcomes, tx: Any, work: Any, outcome: Any, taps: Any) -> None:
        if outcome.state == DELIVERED and next(n) % SELDOM == 0:
            outcome.state, outcome.error = DEAD, Refused("planted")
        finish(self, tx, work, outcome, taps)

    return patch.object(Outcomes, "finish", burying)


def _cuts() -> Planted:
    """One in twenty loses the second half of its body."""
    send, n = TargetStation.send, count(1)

    async def cutting(self: TargetStation, work: Any, message: Any, target: Any) -> Any:
        if next(n) % SELDOM == 0:
            whole = self.engine.as_bytes(message)
            message = whole.but(body=whole.body[: len(whole.body) // 2])
        return await send(self, work, message, target)

    return patch.object(TargetStation, "send", cutting)


def _retries_for_ever() -> Planted:
    """A message is tried again however often it was."""
    return patch.object(RetryPolicy, "next_pause", lambda self, attempts, spent: 0.5)


def _forgets_retries() -> Planted:
    """One in twenty of what waits for its next try waits for ever."""
    put_off, n = journal.put_off, count(1)

    def forgetting(tx: Any, work: Any, outcome: Any, vault: Any) -> bool:
        if next(n) % SELDOM == 0:
            outcome.next_at = None
        return put_off(tx, work, outcome, vault)

    return patch.object(journal, "put_off", forgetting)


def _overtakes() -> Planted:
    """One in three does not wait for those of its key."""
    first_state, n = journal._first_state, count(1)

    def overtaking(*arguments: Any) -> str:
        state = first_state(*arguments)
        return READY if state == "held" and next(n) % 3 == 0 else state

    return patch.object(journal, "_first_state", overtaking)


def _gathers_twice() -> Planted:
    """A gather that has emitted stays open, and emits again when its time is over."""
    emit = Gathering.emit

    def emitting(self: Gathering, tx: Any, gather: int) -> None:
        emit(self, tx, gather)
        tx.execute(update(schema.gather).where(schema.gather.c.id == gather).values(due_at=tx.now + 1))

    return patch.object(Gathering, "emit", emitting)


MUTANTS: dict[str, Callable[[], Planted]] = {
    "drop": _drops,
    "early": _acknowledges_early,
    "swap": _swaps,
    "bury": _buries_delivered,
    "cut": _cuts,
    "endless": _retries_for_ever,
    "forget": _forgets_retries,
    "overtake": _overtakes,
    "twice": _gathers_twice,
}
"""the five of the outside ledger, two in retries, one in order, one in gathers"""


@contextmanager
def applied(name: str | None) -> Iterator[None]:
    """The gateway with that defect."""
    with nullcontext() if name is None else MUTANTS[name]():
        yield
