"""Decisions a second beside cedarpy on the same data, and lists with and without rights."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, Select, String, Table, create_engine, select

from benchmarks.access_cedar import Cedar
from benchmarks.access_world import Question, questions, world
from benchmarks.options import Options
from benchmarks.report import circumstances, table
from flows.access import tables
from flows.access.compiling import Compiled, compiled
from flows.access.filtering import Protected, condition
from flows.access.loading import load
from flows.access.model import Grant, Membership, Snapshot, Subject
from flows.access.words import joined

NOW = 1_000_000.0
ASKED = 4000
LISTED = 100_000
PAGE = 50

metadata = MetaData()
things = Table(
    "thing",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("company", String, nullable=False),
    Column("unit", String),
    Column("level", Integer, nullable=False),
    Column("text", String, nullable=False),
    Index("thing_at", "at"),
    Index("thing_company_at", "company", "at"),
)
PROTECTED = Protected(company=things.c.company, unit=things.c.unit, level=things.c.level)


def access(options: Options) -> str:
    """Both tables. Raises AssertionError where the two engines do not decide the same."""
    snapshot = world()
    asked = questions(snapshot, ASKED)
    rows, listed = _decisions(snapshot, asked, options), _lists(snapshot, options)
    what = (
        f"{len(snapshot.company)} companies, {len(snapshot.person):,} people, {len(snapshot.role)} roles, "
        f"{len(snapshot.grant):,} grants; {ASKED:,} random questions, on which both decide the same; "
        f"{options.rounds} rounds, the two taking turns."
    )
    heads = ("", "median", "min–max")
    lists = ("list", "without rights, ms", "with rights, ms", "ratio")
    return f"{circumstances(what)}\n\n{table(heads, rows)}\n\n{table(lists, listed)}"


def _decisions(snapshot: Snapshot, asked: list[Question], options: Options) -> list[tuple[str, str, str]]:
    ours, cedar = Compiled(snapshot), Cedar(snapshot)
    mine = [ours.of(person, NOW).may(name, thing) for person, name, thing in asked]
    assert mine == cedar.decide(asked), "the two engines do not decide the same"
    assert 0.02 < sum(mine) / len(mine) < 0.98
    ready = cedar.prepared(asked)

    def decide() -> None:
        for person, name, thing in asked:
            ours.of(person, NOW).may(name, thing)

    rates = [(ASKED / _seconds(decide), ASKED / _seconds(lambda: cedar.answer(ready))) for _ in range(options.rounds)]
    fast, slow, ratio = [one for one, _ in rates], [other for _, other in rates], [one / other for one, other in rates]
    people = list(snapshot.person)[:200]
    cold = [_seconds(lambda: [compiled(snapshot, each, NOW) for each in people]) / len(people) for _ in range(3)]
    return [
        ("decisions a second, PIPE", f"{statistics.median(fast):,.0f}", f"{min(fast):,.0f}–{max(fast):,.0f}"),
        ("decisions a second, cedarpy", f"{statistics.median(slow):,.0f}", f"{min(slow):,.0f}–{max(slow):,.0f}"),
        ("PIPE ÷ cedarpy", f"{statistics.median(ratio):.0f}", f"{min(ratio):.0f}–{max(ratio):.0f}"),
        ("a person's rights made anew, ms", f"{statistics.median(cold) * 1e3:.2f}", _span(cold)),
        ("everything read from the store, ms", *_loading(snapshot, options)),
    ]


def _loading(snapshot: Snapshot, options: Options) -> tuple[str, str]:
    with create_engine("sqlite://").connect() as connection:
        _filled(connection, snapshot)
        assert load(connection).person == snapshot.person
        times = [_seconds(lambda: load(connection)) for _ in range(options.rounds)]
    return f"{statistics.median(times) * 1e3:.0f}", _span(times)


def _span(times: list[float]) -> str:
    return f"{min(times) * 1e3:.2f}–{max(times) * 1e3:.2f}"


def _filled(connection: Connection, snapshot: Snapshot) -> None:
    """The tables that this snapshot would have been read from."""
    tables.create(connection)
    stamp = {"created_at": 0.0, "changed_at": 0.0}
    for name, things_ in (("company", snapshot.company), ("unit", snapshot.unit), ("position", snapshot.position)):
        rows = [{**_fields(each), **stamp} for each in things_.values()]
        found: Table = getattr(tables, name)
        connection.execute(found.insert(), [{key: row[key] for key in row if key in found.c} for row in rows])
    people = [{**_fields(each), **stamp, "language": "uk", "salt": ""} for each in snapshot.person.values()]
    places = [{"person": row["id"], **place._asdict()} for row in people for place in row.pop("memberships")]
    connection.execute(tables.person.insert(), people)
    connection.execute(tables.membership.insert(), places)
    roles = [{**_fields(each), **stamp} for each in snapshot.role.values()]
    held = [{"role": row["id"], "permission": each} for row in roles for each in row.pop("permissions")]
    for row in roles:
        row.pop("includes")
    connection.execute(tables.role.insert(), roles)
    connection.execute(tables.role_permission.insert(), held)
    grants = [
        {**_fields(each), "tags": joined(each.tags), "states": joined(each.states)} for each in snapshot.grant.values()
    ]
    connection.execute(tables.grant.insert(), grants)


def _fields(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__dataclass_fields__}


# --- lists --------------------------------------------------------------------------------------------------------


def _lists(snapshot: Snapshot, options: Options) -> list[tuple[str, str, str, str]]:
    """All rows, by somebody who may see each of them by forty grants; and pages, by him and by who sees one company."""
    companies = list(snapshot.company)
    with create_engine("sqlite://").connect() as connection:
        metadata.create_all(connection)
        chance = Random(7)
        rows = [
            {
                "id": n,
                "at": float(n),
                "company": chance.choice(companies),
                "unit": None,
                "level": n % 3,
                "text": "x" * 80,
            }
            for n in range(LISTED)
        ]
        connection.execute(things.insert(), rows)
        broad, narrow = _sees(companies, snapshot), _sees(companies[:1], snapshot)
        every = select(things).order_by(things.c.id)
        page = select(things).order_by(things.c.at.desc()).limit(PAGE)
        return [
            _compared(connection, f"all {LISTED:,} rows", every, broad, options.rounds, LISTED),
            _compared(connection, f"the newest {PAGE} of 40 companies", page, broad, options.rounds * 20, PAGE),
            _compared(connection, f"the newest {PAGE} of one company", page, narrow, options.rounds * 20, PAGE),
        ]


def _sees(companies: list[str], snapshot: Snapshot) -> Any:
    """The predicate of somebody with one grant for each of these companies."""
    permission = "conversation.read"
    role = next(each.id for each in snapshot.role.values() if permission in each.permissions)
    grants = {
        f"x{company}": Grant(f"x{company}", role, "person", "x", "company", company, level=2) for company in companies
    }
    person = Subject("x", "x", "person", "x", None, 2, "active", memberships=(Membership("group", "none"),))
    return compiled(snapshot.but(2, {"person": {"x": person}, "grant": grants}), "x", NOW).predicate(permission)


def _compared(
    connection: Connection, name: str, query: Select[Any], predicate: Any, rounds: int, count: int
) -> tuple[str, str, str, str]:
    filtered = query.where(condition(predicate, PROTECTED))
    assert len(connection.execute(filtered).all()) == count
    pairs = [
        (_seconds(lambda: connection.execute(query).all()), _seconds(lambda: connection.execute(filtered).all()))
        for _ in range(rounds)
    ]
    plain, checked = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    ratio = statistics.median(after / before for before, after in pairs)
    return name, f"{plain:.2f}", f"{checked:.2f}", f"{ratio:.2f}"


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
