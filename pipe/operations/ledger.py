"""The books: what came, what became of it, and whether totals and rows agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, func, literal, select, union_all

from pipe.operations.host import Host
from pipe.store.audit import first_broken
from pipe.store.schema import DEAD, FINAL, PENDING, TIMER, audit, dead_letter, delivery, ledger, message

NAMES = ("accepted", "emitted", *FINAL, "pending")
_PENDING = "pending"
VERIFY_LIMIT_S = 300.0


async def books(host: Host, route: str | None = None) -> list[dict[str, Any]]:
    """One row for each route: accepted + emitted = delivered + … + pending."""
    totals = await host.store.read(totals_of)
    return [{"route": name, **rows} for name, rows in sorted(totals.items()) if route in (None, name)]


def totals_of(connection: Connection) -> dict[str, dict[str, int]]:
    """The totals by route, with what is pending now, as of one moment."""
    d = delivery.c
    counted = select(ledger.c.route, ledger.c.name, ledger.c.n).where(~ledger.c.name.startswith("pruned:"))
    waiting = select(d.route, literal(_PENDING), func.count()).where(d.done_at.is_(None)).group_by(d.route)
    totals: dict[str, dict[str, int]] = {}
    # One statement is one moment: two would let a commit fall in between.
    for route, name, n in connection.execute(union_all(counted, waiting)):
        totals.setdefault(route, dict.fromkeys(NAMES, 0))[name] = n
    return totals


def oldest_of(connection: Connection, now: float) -> dict[str, float]:
    """Seconds that the oldest pending delivery of each route waits; timers, which wait on purpose, left out."""
    d = delivery.c
    waits = (d.done_at.is_(None), d.state != TIMER)
    first = select(d.route, func.min(d.id).label("id")).where(*waits).group_by(d.route).subquery()
    oldest = (
        select(first.c.route, message.c.received_at)
        .join(delivery, d.id == first.c.id)
        .join(message, message.c.seq == d.message)
    )
    return {route: now - at for route, at in connection.execute(oldest)}


async def verify(host: Host) -> dict[str, Any]:
    """Counts all rows against the totals and follows the chain of the audit; `wrong` lists what does not fit."""
    host.progress(0, None, "rows counted against the ledger")
    found = await host.store.read(_verified, VERIFY_LIMIT_S)
    return {"good": not found["wrong"], **found}


def _verified(connection: Connection) -> dict[str, Any]:
    with one_moment(connection):
        totals = _counters(connection)
        states = _rows(connection)
        wrong = [
            text for route in sorted({*totals, *states}) for text in _compared(route, totals[route], states[route])
        ]
        wrong += _letters(connection)
        broken = first_broken(connection)
        if broken is not None:
            wrong.append(
                f"the audit does not fit its own chain from row {broken} on: it was altered, or a row is missing"
            )
        return {
            "routes": len({*totals, *states}),
            "deliveries": sum(sum(counts.values()) for counts in states.values()),
            "audit_rows": connection.execute(select(func.count()).select_from(audit)).scalar() or 0,
            "audit_broken_at": broken,
            "wrong": wrong,
        }


def _compared(route: str, totals: dict[str, int], states: dict[str, int]) -> Iterator[str]:
    came = totals["accepted"] + totals["emitted"]
    final = sum(totals[state] for state in FINAL)
    pending = sum(n for state, n in states.items() if state not in FINAL)
    for state in sorted(states.keys() - {*PENDING, *FINAL}):
        yield f"{route}: {states[state]} deliveries are in no known state ({state!r}): the disk altered them"
    if came != final + pending:
        lost = came - final - pending
        yield f"{route}: {came} came in, but {final} ended and {pending} are pending: {lost} are not accounted for"
    for state in FINAL:
        rows, pruned = states[state], totals[f"pruned:{state}"]
        if totals[state] != rows + pruned:
            yield f"{route}: the ledger says {totals[state]} {state}, there are {rows} rows and {pruned} were pruned"


def _letters(connection: Connection) -> Iterator[str]:
    d = delivery.c
    bare = select(func.count()).where(d.state == DEAD, ~d.id.in_(select(dead_letter.c.delivery)))
    if lost := connection.execute(bare).scalar():
        yield f"{lost} deliveries are dead and have no dead letter"


def _counters(connection: Connection) -> defaultdict[str, defaultdict[str, int]]:
    totals: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in connection.execute(select(ledger)):
        totals[row.route][row.name] = row.n
    return totals


def _rows(connection: Connection) -> defaultdict[str, defaultdict[str, int]]:
    d = delivery.c
    states: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for route, state, n in connection.execute(select(d.route, d.state, func.count()).group_by(d.route, d.state)):
        states[route][state] = n
    return states


@contextmanager
def one_moment(connection: Connection) -> Iterator[None]:
    """All reads within it see the store as of one commit."""
    sqlite = connection.dialect.name == "sqlite"
    connection.exec_driver_sql("BEGIN" if sqlite else "BEGIN ISOLATION LEVEL REPEATABLE READ")
    try:
        yield
    finally:
        connection.exec_driver_sql("ROLLBACK")
