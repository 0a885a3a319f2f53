"""Small worlds made by chance: an organisation, people, roles, grants, rules, and objects to do something with."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TypeVar

from flows.access.model import (
    Company,
    Forbid,
    Grant,
    Group,
    Membership,
    Object,
    Position,
    Role,
    Separation,
    Snapshot,
    Subject,
    Unit,
)

T = TypeVar("T")
NOW = 1000.0
PERMISSIONS = ("message.read", "message.read_body", "file.read", "dead.replay", "grant.give", "grant.approve")
TAGS = ("vip", "veteran", "court")
STATES = ("new", "open", "closed")
RULES = (
    Separation("x1", "same_object", "grant.give", "grant.approve", "four eyes"),
    Separation("x2", "static", "dead.replay", "file.read", "apart"),
)
TITLES = ("operator", "lead")


def world(seed: int, *, people: int = 12, grants: int = 40, forbids: int = 4, separations: bool = True) -> Snapshot:
    """A world; the same seed makes the same one."""
    chance = Random(seed)
    companies = {c: Company(c, "", c, c, "active") for c in ("ukc", "diia", "moz")}
    units: dict[str, Unit] = {}
    for number in range(6):
        company = chance.choice(list(companies))
        below = [unit.id for unit in units.values() if unit.company == company]
        units[f"u{number}"] = Unit(f"u{number}", company, chance.choice([None, *below]), "", "")
    positions = {
        f"s{n}": Position(f"s{n}", chance.choice(list(units)), chance.choice(TITLES), "", "") for n in range(5)
    }
    groups = {"g0": Group("g0", None, "", ""), "g1": Group("g1", chance.choice(list(companies)), "", "")}
    snapshot = Snapshot(
        1,
        company=companies,
        unit=units,
        position=positions,
        group=groups,
        role=_roles(chance),
        person={f"p{n}": _person(chance, f"p{n}", companies, units, positions, groups) for n in range(people)},
    )
    return snapshot.but(
        1,
        {
            "grant": {each.id: each for each in (a_grant(chance, snapshot, f"a{n}") for n in range(grants))},
            "forbid": {each.id: each for each in (a_forbid(chance, snapshot, f"f{n}") for n in range(forbids))},
            "separation": {
                "x1": Separation("x1", "same_object", "grant.give", "grant.approve", "four eyes"),
                **(
                    {"x2": Separation("x2", "static", "dead.replay", "file.read", "apart")}
                    if chance.random() < 0.5
                    else {}
                ),
            }
            if separations
            else {},
        },
    )


def _roles(chance: Random) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for number in range(4):
        within = chance.sample(sorted(roles), chance.randint(0, min(1, len(roles))))
        permissions = chance.sample(PERMISSIONS, chance.randint(1, 3))
        roles[f"r{number}"] = Role(f"r{number}", "", "", permissions=frozenset(permissions), includes=frozenset(within))
    return roles


def _person(
    chance: Random,
    id: str,
    companies: dict[str, Company],
    units: dict[str, Unit],
    positions: dict[str, Position],
    groups: dict[str, Group],
) -> Subject:
    places: dict[tuple[str, str], Membership] = {}
    named: dict[str, Iterable[str]] = {"position": positions, "unit": units, "group": groups}
    for _ in range(chance.randint(0, 3)):
        kind = chance.choice(["position", "position", "unit", "group"])
        of = chance.choice(sorted(named[kind]))
        begin, end = span(chance)
        places[kind, of] = Membership(kind, of, begin, end)
    state = chance.choices(["active", "blocked", "left"], [18, 1, 1])[0]
    return Subject(
        id, id, "person", id, chance.choice([None, *companies]), chance.choice([1, 2, 2, 3, 3]), state,
        chance.choices([None, NOW, NOW + 1], [18, 1, 1])[0], None, tuple(places.values()),
    )  # fmt: skip


def span(chance: Random) -> tuple[float | None, float | None]:
    """Mostly now, sometimes over or not begun."""
    return (
        chance.choices([None, NOW - 5, NOW, NOW + 5], [10, 3, 1, 1])[0],
        chance.choices([None, NOW + 5, NOW, NOW - 5], [10, 3, 1, 1])[0],
    )


def _terms(chance: Random, snapshot: Snapshot) -> dict[str, object]:
    scope = chance.choice(["all", "company", "company", "unit", "unit", "own"])
    named = {"company": snapshot.company, "unit": snapshot.unit}.get(scope)
    scope_id = chance.choice([None, *named]) if named else None
    begin, end = span(chance)
    return {
        "scope": scope,
        "scope_id": scope_id,
        "tags": frozenset(chance.sample(TAGS, chance.choice([0, 0, 0, 1, 2]))),
        "states": frozenset(chance.sample(STATES, chance.choice([0, 0, 0, 1, 2]))),
        "valid_from": begin,
        "valid_until": end,
    }


def _to(chance: Random, snapshot: Snapshot) -> tuple[str, str]:
    kind = chance.choice(["person", "person", "position", "title", "unit", "group"])
    if kind == "title":
        return kind, chance.choice(TITLES) + chance.choice(["", f"@{chance.choice(list(snapshot.unit))}"])
    named = {"person": snapshot.person, "position": snapshot.position, "unit": snapshot.unit, "group": snapshot.group}
    return kind, chance.choice(list(named[kind]))


def a_grant(chance: Random, snapshot: Snapshot, id: str) -> Grant:
    """Any grant that this world can have."""
    kind, to = _to(chance, snapshot)
    approved = chance.choice([None, "somebody"])
    source = chance.choices(["manual", "emergency"], [9, 1])[0]
    role, level = chance.choice(list(snapshot.role)), chance.randint(0, 3)
    terms = _terms(chance, snapshot)
    return Grant(id, role, kind, to, level=level, source=source, approved_by=approved, **terms)  # type: ignore[arg-type]


def a_forbid(chance: Random, snapshot: Snapshot, id: str) -> Forbid:
    """Any forbid that this world can have."""
    kind, to = chance.choice(["everyone", "role", "other", "other", "other"]), None
    if kind == "role":
        to = chance.choice(list(snapshot.role))
    elif kind == "other":
        kind, to = _to(chance, snapshot)
    patterns = frozenset([chance.choice([*PERMISSIONS, *PERMISSIONS, "message.*", "grant.*", "*"])])
    within = chance.choices([None, 900.0], [4, 1])[0]
    terms = _terms(chance, snapshot)
    return Forbid(id, patterns, kind, to, level=chance.choice([0, 1, 2, 2, 3, 3]), factor_within=within, **terms)  # type: ignore[arg-type]


def an_object(chance: Random, snapshot: Snapshot) -> Object:
    """Any object, also one about which something is not known or does not fit together."""
    unit = chance.choice([None, *snapshot.unit])
    company = (
        snapshot.unit[unit].company if unit and chance.random() < 0.9 else chance.choice([None, *snapshot.company])
    )
    people = list(snapshot.person)
    return Object(
        company,
        unit,
        chance.choice([None, *people]),
        chance.choice([None, 0, 0, 1, 1, 2, 2, 3]),
        frozenset(chance.sample(TAGS, chance.choice([0, 0, 1, 2]))),
        chance.choice([None, *STATES]),
        {"grant.give": chance.choice(people)} if chance.random() < 0.5 else {},
    )


def a_factor(chance: Random) -> float | None:
    """How long ago the second factor was given."""
    return chance.choice([None, 10.0, 900.0, 901.0])
