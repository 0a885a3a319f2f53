"""An organisation as large as the centre may become, made by chance, the same every time."""

from __future__ import annotations

from random import Random

from flows.access.model import Company, Grant, Membership, Object, Position, Role, Snapshot, Subject, Unit
from flows.access.permissions import CATALOGUE

COMPANIES, UNITS, PEOPLE, ROLES, TITLES = 40, 5, 2000, 200, 20
Question = tuple[str, str, Object]


def world(seed: int = 1) -> Snapshot:
    """40 companies of 5 units, 2,000 people in 1,000 positions, 200 roles, 4,000 grants by name and 20 by title.

    Nobody has one role twice, so that Cedar's data can say it in one attribute.
    """
    chance = Random(seed)
    companies = {f"c{n}": Company(f"c{n}", str(n), f"c{n}", f"c{n}", "active") for n in range(COMPANIES)}
    units = {
        f"{company}-u{n}": Unit(f"{company}-u{n}", company, f"{company}-u0" if n else None, "", "")
        for company in companies
        for n in range(UNITS)
    }
    names = list(units)
    positions = {f"s{n}": Position(f"s{n}", chance.choice(names), f"t{n % TITLES}", "", "") for n in range(PEOPLE // 2)}
    permissions = [each.name for each in CATALOGUE]
    roles = {
        f"r{n}": Role(f"r{n}", f"r{n}", f"r{n}", permissions=frozenset(chance.sample(permissions, 12)))
        for n in range(ROLES)
    }
    people, grants = {}, {}
    for number in range(PEOPLE):
        place = Membership("position", f"s{number % len(positions)}")
        company = units[positions[place.of].unit].company
        name = f"p{number}"
        people[name] = Subject(
            name, name, "person", name, company, chance.choice([1, 2, 3]), "active", memberships=(place,)
        )
        for role in chance.sample(range(TITLES, ROLES), 2):
            grant = f"{name}-{role}"
            where = chance.choice([company, chance.choice(list(companies))])
            level = chance.choice([1, 2])
            grants[grant] = Grant(grant, f"r{role}", "person", name, "company", where, level=level)
    for n in range(TITLES):
        grants[f"t{n}"] = Grant(f"t{n}", f"r{n}", "title", f"t{n}", "unit", None, level=2)
    return Snapshot(1, company=companies, unit=units, position=positions, person=people, role=roles, grant=grants)


def questions(snapshot: Snapshot, count: int) -> list[Question]:
    """Random people, mostly on a permission that some role of theirs has, on objects of any company."""
    chance = Random(2)
    people, units = list(snapshot.person), list(snapshot.unit.values())
    by_name: dict[str, list[str]] = {}
    for grant in snapshot.grant.values():
        if grant.to_kind == "person":
            by_name.setdefault(grant.to_id, []).append(grant.role)
    everything = [each.name for each in CATALOGUE]
    found = []
    for _ in range(count):
        person = chance.choice(people)
        role = snapshot.role[chance.choice(by_name[person])]
        permission = chance.choice([chance.choice(sorted(role.permissions)), chance.choice(everything)])
        unit = chance.choice(units)
        if chance.random() < 0.5:
            mine = [each for each in units if each.company == snapshot.person[person].company]
            unit = chance.choice(mine)
        found.append((person, permission, Object(unit.company, unit.id, level=chance.randint(0, 3))))
    return found
