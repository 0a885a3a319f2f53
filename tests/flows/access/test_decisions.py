"""Every role, permission, scope and level: what may be done stands in a file, and every point of a small world fits it.

`decisions.csv` changes only by review: after a change of roles, write it again with
`python -m tests.flows.access.test_decisions` and look at the difference.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from flows.access.compiling import Rights, compiled
from flows.access.filtering import Protected, condition
from flows.access.model import Company, Grant, Membership, Object, Position, Role, Snapshot, Subject, Unit
from flows.access.permissions import CATALOGUE
from flows.access.standard import ROLES
from tests.flows.access.cedar import Cedar
from tests.flows.access.worlds import NOW

FILE = Path(__file__).with_name("decisions.csv")
SCOPES = ("own", "unit", "company", "all")
WHOSE = {
    "own": Object("ukc", "shift-2", "p"),
    "unit": Object("ukc", "shift-1", "q"),
    "unit below": Object("ukc", "table-1", "q"),
    "company": Object("ukc", "shift-2", "q"),
    "elsewhere": Object("diia", "back", "q"),
    "nowhere": Object(),
}
COLUMNS = ("role", "permission", *(f"{scope}: {whose}" for scope in SCOPES for whose in WHOSE))


def world(grant: Grant | None = None, *, level: int = 3) -> Snapshot:
    """One person `p` in the unit shift-1 of ukc, with the standard roles and one grant."""
    units = {
        each.id: each
        for each in (
            Unit("hall", "ukc", None, "", ""),
            Unit("shift-1", "ukc", "hall", "", ""),
            Unit("table-1", "ukc", "shift-1", "", ""),
            Unit("shift-2", "ukc", "hall", "", ""),
            Unit("back", "diia", None, "", ""),
        )
    }
    places = (Membership("position", "op-1"),)
    return Snapshot(
        1,
        company={name: Company(name, "", "", "", "active") for name in ("ukc", "diia")},
        unit=units,
        position={"op-1": Position("op-1", "shift-1", "operator", "", "")},
        person={"p": Subject("p", "p", "person", "p", "ukc", level, "active", memberships=places)},
        role={
            each.id: Role(
                each.id, each.uk, each.en, "", each.emergency, frozenset(each.permissions), frozenset(each.includes)
            )
            for each in ROLES
        },
        grant={} if grant is None else {grant.id: grant},
    )


@cache
def rights(role: str, scope: str, level: int) -> Rights:
    """Of `p`, by one grant to his position."""
    return compiled(world(Grant("g", role, "position", "op-1", scope, level=level, approved_by="another")), "p", NOW)


def cell(role: str, permission: str, scope: str, whose: str) -> str:
    """For grants of level 0, 1, 2, 3: the highest level of this object that may be dealt with; `-`: none."""
    signs = []
    for level in range(4):
        predicate = rights(role, scope, level).predicate(permission)
        reach = predicate.reach(WHOSE[whose])
        # What may be done at a level may be done below it: the one number tells all four.
        assert [predicate.decides(WHOSE[whose]._replace(level=each)) for each in range(4)] == [
            each <= reach for each in range(4)
        ]
        signs.append("-" if reach < 0 else str(reach))
    return "".join(signs)


def table() -> str:
    """The file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    held = world().permissions_of
    for role, permission in product([each.id for each in ROLES], [each.name for each in CATALOGUE]):
        cells = ["----"] * len(COLUMNS[2:])
        if permission in held[role]:
            cells = [cell(role, permission, scope, whose) for scope in SCOPES for whose in WHOSE]
        writer.writerow([role, permission, *cells])
    return out.getvalue()


def test_the_table_of_decisions_is_what_was_reviewed() -> None:
    """Every standard role × permission × scope × whose object × level of the grant × level of the object."""
    assert table() == FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("role", [each.id for each in ROLES])
def test_a_role_does_nothing_that_it_does_not_have(role: str) -> None:
    """The empty cells of the table, decided: with everything else allowed, what is not in the role is denied."""
    able = compiled(world(Grant("g", role, "person", "p", "all", level=3, approved_by="another")), "p", NOW)
    missing = {each.name for each in CATALOGUE} - world().permissions_of[role]
    assert missing
    assert not any(able.may(name, thing) for name in missing for thing in (*WHOSE.values(), None))


def test_nobody_without_a_grant_may_anything() -> None:
    """A new person has no right, and unknown permissions are nobody's."""
    able = compiled(world(), "p", NOW)
    assert not any(able.may(each.name, thing) for each in CATALOGUE for thing in WHOSE.values())
    everything = Grant("g", "administrator", "person", "p", "all", level=3, approved_by="another")
    assert not compiled(world(everything), "p", NOW).may("everything.do", Object())


HOLDERS = (("person", "p"), ("position", "op-1"), ("title", "operator"), ("title", "operator@hall"), ("unit", "hall"))
PLACES = (
    ("own", None), ("all", None), ("company", None), ("company", "diia"), ("unit", None), ("unit", "hall"),
    ("unit", "back"),
)  # fmt: skip


def small_worlds() -> list[Snapshot]:
    """Every holder × scope × named or own × level of one grant, with four people in the same place, cleared 0 to 3."""
    found = []
    for (kind, name), place, level in product(HOLDERS, PLACES, range(4)):
        one = world()
        people = {f"p{n}": replace(one.person["p"], id=f"p{n}", login=f"p{n}", level=n) for n in range(4)}
        terms = {"scope": place[0], "scope_id": place[1], "level": level, "approved_by": "another"}
        to = list(people) if kind == "person" else [name]
        grants = {f"g{each}": Grant(f"g{each}", "analyst", kind, each, **terms) for each in to}  # type: ignore[arg-type]
        found.append(one.but(1, {"person": {"p": None, **people}, "grant": grants}))
    return found


def objects(person: str) -> list[Object]:
    """Every place × owner × level."""
    ways = product(WHOSE.values(), range(4), (person, "q"))
    return [thing._replace(level=level, owner=owner) for thing, level, owner in ways]


def test_every_point_of_a_small_world_is_decided_as_cedar_decides_it() -> None:
    """35 ways of one grant × 4 levels × 4 clearances × 48 objects: all of them, none by chance."""
    points = 0
    for snapshot in small_worlds():
        asked = [(person, "report.read", thing, None) for person in snapshot.person for thing in objects(person)]
        held = {person: compiled(snapshot, person, NOW).predicate("report.read") for person in snapshot.person}
        ours = [held[person].decides(thing) for person, _, thing, _ in asked]
        assert ours == Cedar(snapshot, NOW).allows(asked), snapshot.grant
        points += len(asked)
    assert points == 35 * 4 * 4 * 48


def test_a_person_who_is_not_active_may_nothing() -> None:
    """Blocked, left and expired people have no predicate at all."""
    everything = world(Grant("g", "administrator", "person", "p", "all", level=3, approved_by="another"))
    for change in ({"state": "blocked"}, {"state": "left"}, {"valid_until": NOW}):
        person = replace(everything.person["p"], **change)
        able = compiled(everything.but(2, {"person": {"p": person}}), "p", NOW)
        assert able.predicates == {}
        assert "false" in str(condition(able.predicate("person.read"), Protected())).lower()


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
