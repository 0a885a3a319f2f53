"""Decision, list and menu are readings of one predicate: they agree with each other and with Cedar."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, create_engine, insert, select

from flows.access.compiling import Compiled
from flows.access.explaining import why_not
from flows.access.filtering import Protected, condition
from flows.access.model import Object, Snapshot
from flows.access.predicate import Allow, Bar, Predicate, Region
from flows.access.words import joined, parted
from pipe.store import database
from tests.flows.access.cedar import Cedar
from tests.flows.access.worlds import NOW, PERMISSIONS, a_factor, an_object, world

WORLDS = 25
PAIRS = 420
"""in each world: more than 10,000 in all"""

metadata = MetaData()
things = Table(
    "thing",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("company", String),
    Column("unit", String),
    Column("owner", String),
    Column("level", Integer),
    Column("tags", String),
    Column("state", String),
    Column("granted_by", String),
)
PROTECTED = Protected(
    things.c.company, things.c.unit, things.c.owner, things.c.level, things.c.tags, things.c.state,
    {"grant.give": things.c.granted_by},
)  # fmt: skip


def row(id: int, thing: Object) -> dict[str, Any]:
    """The object as a row."""
    return {
        "id": id, "company": thing.company, "unit": thing.unit, "owner": thing.owner, "level": thing.level,
        "tags": joined(thing.tags) or None, "state": thing.state, "granted_by": thing.did.get("grant.give"),
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(WORLDS))
def test_the_decision_agrees_with_cedar(seed: int) -> None:
    """Any person, any permission, any object, in any world; and why-not says the same as the decision."""
    chance, snapshot = Random(seed), world(seed)
    ours, cedar = Compiled(snapshot), Cedar(snapshot, NOW)
    people = list(snapshot.person)
    requests = [
        (chance.choice(people), chance.choice(PERMISSIONS), an_object(chance, snapshot), a_factor(chance))
        for _ in range(PAIRS)
    ]
    decided = [ours.of(person, NOW).may(name, thing, age) for person, name, thing, age in requests]
    differing = [
        (request, mine)
        for request, mine, theirs in zip(requests, decided, cedar.allows(requests), strict=True)
        if mine != theirs
    ]
    assert differing == []
    told = [why_not(ours, person, name, thing, NOW, age).allowed for person, name, thing, age in requests]
    assert told == decided


def test_both_answers_occur_often_enough() -> None:
    """A test that only ever sees denials would prove nothing."""
    allowed = 0
    for seed in range(WORLDS):
        chance, snapshot = Random(seed), world(seed)
        ours, people = Compiled(snapshot), list(snapshot.person)
        allowed += sum(
            ours.of(chance.choice(people), NOW).may(chance.choice(PERMISSIONS), an_object(chance, snapshot))
            for _ in range(PAIRS)
        )
    assert WORLDS * PAIRS >= 10_000
    assert 0.1 < allowed / (WORLDS * PAIRS) < 0.9


def agreeing(connection: Connection, seeds: range, objects: int) -> int:
    """Compares list and decision for everybody, every permission and every row; returns how many pairs there were."""
    pairs = 0
    for seed in seeds:
        chance, snapshot = Random(1000 + seed), world(seed)
        rows = {number: an_object(chance, snapshot) for number in range(objects)}
        connection.execute(things.delete())
        connection.execute(insert(things), [row(number, thing) for number, thing in rows.items()])
        ours = Compiled(snapshot)
        for person in snapshot.person:
            for permission in PERMISSIONS:
                age = a_factor(chance)
                predicate = ours.of(person, NOW).predicate(permission)
                query = select(things.c.id).where(condition(predicate, PROTECTED, age))
                listed = set(connection.execute(query).scalars())
                decided = {number for number, thing in rows.items() if predicate.decides(thing, age)}
                assert listed == decided, (seed, person, permission)
                pairs += len(rows)
    return pairs


def test_the_list_agrees_with_the_decision_row_by_row() -> None:
    """Also where a row does not say its company, level, tags or state."""
    with create_engine("sqlite://").begin() as connection:
        metadata.create_all(connection)
        assert agreeing(connection, range(WORLDS), 30) > 10_000


@pytest.mark.postgres
def test_the_list_agrees_on_postgresql_too(postgres_url: Callable[[], str]) -> None:
    """The same predicate in the other dialect."""
    engine = database.open_writer(postgres_url())
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert agreeing(connection, range(6), 30) > 10_000
    engine.dispose()


def consistent(snapshot: Snapshot, person: str) -> list[Object]:
    """Objects of every company, unit, owner, tag, state and level of this small world, all of one piece."""
    places: list[tuple[str | None, str | None]] = [(None, None), *((company, None) for company in snapshot.company)]
    places += [(unit.company, unit.id) for unit in snapshot.unit.values()]
    tags = [frozenset[str](), *(frozenset({tag}) for tag in ("vip", "veteran", "court"))]
    return [
        Object(company, unit, owner, level, tag, state)
        for company, unit in places
        for owner in (person, "somebody else")
        for level in range(4)
        for tag in tags
        for state in (None, "new", "open", "closed")
    ]


@pytest.mark.parametrize("seed", range(10))
def test_a_menu_shows_what_is_possible_and_nothing_else(seed: int) -> None:
    """A button is there exactly where there is an object on which it would work."""
    snapshot = world(seed, people=6)
    ours = Compiled(snapshot)
    for person in snapshot.person:
        everything = consistent(snapshot, person)
        for permission in PERMISSIONS:
            predicate = ours.of(person, NOW).predicate(permission)
            assert predicate.possible() == any(predicate.decides(thing) for thing in everything), (person, permission)


def many(connection: Connection) -> None:
    """Somebody with ten companies and twelve units, on rows of each and of others, and of none."""
    places = [*((f"c{n}", f"c{n}-u{m}") for n in range(14) for m in range(2)), (None, None)]
    everything = {n: Object(company, unit, level=n % 4) for n, (company, unit) in enumerate(places)}
    connection.execute(insert(things), [row(n, thing) for n, thing in everything.items()])
    companies, units = frozenset(f"c{n}" for n in range(10)), frozenset(f"c11-u{n}" for n in range(12))
    wide = Predicate("p", (Allow(Region(companies), 2), Allow(Region(frozenset({"c11"}), units), 3)))
    bar = Bar(Region(frozenset(f"c{n}" for n in range(3, 12))), 2, "f")
    for predicate in (wide, Predicate("p", (Allow(Region(), 3),), (bar,))):
        listed = set(connection.execute(select(things.c.id).where(condition(predicate, PROTECTED))).scalars())
        assert listed == {n for n, thing in everything.items() if predicate.decides(thing)}
        assert 0 < len(listed) < len(everything)


def test_many_companies_and_units_are_listed_as_they_are_decided() -> None:
    """Where the values go to the database as one."""
    with create_engine("sqlite://").begin() as connection:
        metadata.create_all(connection)
        many(connection)


@pytest.mark.postgres
def test_many_companies_are_listed_alike_on_postgresql(postgres_url: Callable[[], str]) -> None:
    """The same in the other dialect."""
    engine = database.open_writer(postgres_url())
    with engine.begin() as connection:
        metadata.create_all(connection)
        many(connection)
    engine.dispose()


def test_words_in_one_column_come_back() -> None:
    """What `joined` writes `parted` reads."""
    assert parted(joined(["b", "a", "b"])) == {"a", "b"}
    assert (joined([]), parted(""), parted(None)) == ("", frozenset(), frozenset())
