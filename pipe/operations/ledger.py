"""The books: what came, what became of it, and whether totals and rows agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, String, bindparam, func, literal, select, tuple_, union_all

from pipe.operations.host import Host
from pipe.store.audit import first_broken
from pipe.store.schema import DEAD, FINAL, PENDING, TIMER, UNCERTAIN, audit, dead_letter, delivery, ledger, message

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


def counters_of(connection: Connection) -> dict[str, dict[str, int]]:
    """The totals by route without what is pending: a few rows, however much waits."""
    counters: dict[str, dict[str, int]] = {}
    for row in connection.execute(select(ledger).where(~ledger.c.name.startswith("pruned:"))):
        counters.setdefault(row.route, dict.fromkeys(NAMES, 0))[row.name] = row.n
    return counters


class Waits(NamedTuple):
    """What waits of one kind."""

    route: str
    station: str
    state: str
    n: int
    first: int
    """number of the first of them"""


def waits_of(connection: Connection) -> list[Waits]:
    """All that waits, counted once: who needs several sums of it adds these up."""
    d = delivery.c
    kind = (d.route, d.station, d.state)
    counted = select(*kind, func.count(), func.min(d.id)).where(d.done_at.is_(None)).group_by(*kind)
    return [Waits(*row) for row in connection.execute(counted)]


def first_of(connection: Connection, kind: Waits, most: int) -> list[int]:
    """Numbers of the first deliveries of a kind."""
    d = delivery.c
    of = (d.route == kind.route, d.station == kind.station, d.state == kind.state, d.done_at.is_(None))
    return list(connection.execute(select(d.id).where(*of).order_by(d.id).limit(most)).scalars())


def heads_of(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Route, station, state and number of the first delivery of each kind that waits.

    One look into the index for each kind: what it costs does not grow with what waits.
    """
    heads: list[tuple[str, str, str, int]] = []
    at = ("", "", "")
    while (row := connection.execute(_NEXT_KIND, dict(zip(_KIND, at, strict=True))).first()) is not None:
        heads.append((row.route, row.station, row.state, row.id))
        at = (row.route, row.station, row.state)
    return heads


_KIND = ("route", "station", "state")
_NEXT_KIND = (
    select(delivery.c.route, delivery.c.station, delivery.c.state, delivery.c.id)
    .where(
        delivery.c.done_at.is_(None),
        tuple_(*(delivery.c[name] for name in _KIND)) > tuple_(*(bindparam(name, type_=String) for name in _KIND)),
    )
    .order_by(*(delivery.c[name] for name in _KIND), delivery.c.id)
    .limit(1)
)


def oldest_of(connection: Connection, now: float) -> dict[str, float]:
    """Seconds that the oldest pending delivery of each route waits; timers, which wait on purpose, left out."""
    return ages_of(connection, heads_of(connection), now)


def ages_of(connection: Connection, heads: Iterable[tuple[str, str, str, int]], now: float) -> dict[str, float]:
    """The same of these heads: route, station, state and number of the first delivery of each kind."""
    first: dict[str, int] = {}
    for route, _, state, number in heads:
        if state != TIMER:
            first[route] = min(number, first.get(route, number))
    numbers = list(first.values())
    oldest = select(delivery.c.route, message.c.received_at).join(message, message.c.seq == delivery.c.message)
    return {route: now - at for route, at in connection.execute(oldest.where(delivery.c.id.in_(numbers)))}


def unknown_of(connection: Connection) -> dict[str, int]:
    """Of how many deliveries of each route nobody knows whether they arrived, and nothing asks any more."""
    return unknown_among(connection, heads_of(connection))


def unknown_among(connection: Connection, heads: Iterable[tuple[str, str, str, int]]) -> dict[str, int]:
    """The same of these heads: kinds of which none is uncertain are not looked at."""
    d = delivery.c
    kinds = {(route, station) for route, station, state, _ in heads if state == UNCERTAIN}
    found: dict[str, int] = {}
    for route, station in kinds:
        of = (d.route == route, d.station == station, d.state == UNCERTAIN, d.done_at.is_(None), d.next_at.is_(None))
        found[route] = found.get(route, 0) + (connection.execute(select(func.count()).where(*of)).scalar() or 0)
    return {route: n for route, n in found.items() if n}


async def verify(host: Host, chain: bool = True) -> dict[str, Any]:
    """Counts all rows against the totals and follows the `chain` of the audit; `wrong` lists what does not fit."""
    host.progress(0, None, "rows counted against the ledger")
    found = await host.store.read(lambda connection: _verified(connection, chain=chain), VERIFY_LIMIT_S)
    return {"good": not found["wrong"], **found}


def _verified(connection: Connection, *, chain: bool = True) -> dict[str, Any]:
    with one_moment(connection):
        totals = _counters(connection)
        states = _rows(connection)
        wrong = [
            text for route in sorted({*totals, *states}) for text in _compared(route, totals[route], states[route])
        ]
        wrong += _letters(connection)
        broken = first_broken(connection) if chain else None
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
