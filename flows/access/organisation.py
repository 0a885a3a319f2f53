"""Companies, units, positions and groups, and who is in them. Units of work: each writes its audit row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, and_, delete, func, insert, or_, select, update

from flows.access import people, words
from flows.access import tables as t
from flows.access.changes import Actor, Unit, changed, differing
from flows.access.rows import free, names_of, reason_of, there
from pipe.errors import BadRequest, NotFound
from pipe.refusing import Term, refused

Names = Mapping[str, str]
"""`{"uk": …, "en": …}`"""


# --- companies ----------------------------------------------------------------------------------------------------


def add_company(tx: Unit, by: Actor, id: str, section: str, names: Names) -> None:
    """A new company, active. Raises BadRequest where the id is taken or no id."""
    free(tx, t.company, words.slug(id), "company")
    row = {"id": id, "section": section, **names_of(names), "state": "active"}
    tx.execute(insert(t.company), {**row, "created_at": tx.now, "changed_at": tx.now})
    changed(tx, by, "company.created", id, [("company", id)], after=row)


def change_company(tx: Unit, by: Actor, id: str, *, section: str | None = None, names: Names | None = None) -> None:
    """Other names, another section."""
    values = {**({"section": section} if section is not None else {}), **(names_of(names) if names else {})}
    _change(tx, by, t.company, "company", id, {**values})


def close_company(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Closes it: what it has stays, and nobody is added to it any more."""
    _change(tx, by, t.company, "company", id, {"state": "closed"}, event="company.closed", reason=reason)


def open_company(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Opens a closed one again."""
    _change(tx, by, t.company, "company", id, {"state": "active"}, event="company.opened", reason=reason)


# --- units, positions, groups -------------------------------------------------------------------------------------


def add_unit(tx: Unit, by: Actor, id: str, company: str, names: Names, parent: str | None = None) -> None:
    """A new unit of a company, below another one or directly under it."""
    free(tx, t.unit, words.slug(id), "unit")
    there(tx, t.company, company, "company")
    if parent is not None:
        _same_company(tx, parent, company)
    row = {"id": id, "company": company, "parent": parent, **names_of(names)}
    tx.execute(insert(t.unit), row)
    changed(tx, by, "unit.created", id, [("unit", id)], after=row)


def change_unit(tx: Unit, by: Actor, id: str, *, names: Names | None = None, **parent: str | None) -> None:
    """Other names; `parent=`: moved below another unit of its company, None: directly under the company."""
    values: dict[str, Any] = names_of(names) if names else {}
    if "parent" in parent:
        above = parent["parent"]
        unit = there(tx, t.unit, id, "unit")
        if above is not None:
            _same_company(tx, above, unit["company"])
            _no_circle(tx, id, above)
        values["parent"] = above
    _change(tx, by, t.unit, "unit", id, values)


def remove_unit(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Takes an empty unit away. Raises BadRequest where something is in it."""
    inside = tx.execute(select(func.count()).where(t.unit.c.parent == id)).scalar_one()
    inside += tx.execute(select(func.count()).where(t.position.c.unit == id)).scalar_one()
    _remove(tx, by, t.unit, "unit", id, reason, inside)


def add_position(tx: Unit, by: Actor, id: str, unit: str, title: str, names: Names) -> None:
    """A new position in a unit; `title` is the same word for the same work in every unit."""
    free(tx, t.position, words.slug(id), "position")
    there(tx, t.unit, unit, "unit")
    row = {"id": id, "unit": unit, "title": words.slug(title), **names_of(names)}
    tx.execute(insert(t.position), row)
    changed(tx, by, "position.created", id, [("position", id)], after=row)


def change_position(
    tx: Unit, by: Actor, id: str, *, unit: str | None = None, title: str | None = None, names: Names | None = None
) -> None:
    """Another unit, title or name; whoever is appointed to it goes along."""
    values: dict[str, Any] = names_of(names) if names else {}
    if unit is not None:
        there(tx, t.unit, unit, "unit")
        values["unit"] = unit
    if title is not None:
        values["title"] = words.slug(title)
    _change(tx, by, t.position, "position", id, values)


def remove_position(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Takes a position away that nobody has."""
    _remove(tx, by, t.position, "position", id, reason)


def add_group(tx: Unit, by: Actor, id: str, names: Names, company: str | None = None) -> None:
    """A new group, of one company or of none in particular."""
    free(tx, t.group, words.slug(id), "group")
    if company is not None:
        there(tx, t.company, company, "company")
    row = {"id": id, "company": company, **names_of(names)}
    tx.execute(insert(t.group), row)
    changed(tx, by, "group.created", id, [("group", id)], after=row)


def change_group(tx: Unit, by: Actor, id: str, names: Names) -> None:
    """Other names."""
    _change(tx, by, t.group, "group", id, names_of(names))


def remove_group(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Takes an empty group away."""
    _remove(tx, by, t.group, "group", id, reason)


# --- who is in them -----------------------------------------------------------------------------------------------

_TABLES: Mapping[str, Table] = {"position": t.position, "unit": t.unit, "group": t.group}


def appoint(
    tx: Unit,
    by: Actor,
    person: str,
    kind: words.MemberOf,
    of: str,
    *,
    valid_from: float | None = None,
    valid_until: float | None = None,
    source: str = "manual",
) -> None:
    """Puts a person into a position, unit or group, for a time or for good. Again: with other times."""
    who = people.by_id(tx, person)
    if who.state == "left":
        raise refused(BadRequest, "has_left", login=who.login)
    there(tx, _TABLES[kind], of, kind)
    if valid_from is not None and valid_until is not None and valid_until <= valid_from:
        raise refused(BadRequest, "ends_first")
    place = (t.membership.c.person == person, t.membership.c.kind == kind, t.membership.c.of == of)
    old = tx.execute(select(t.membership).where(*place)).mappings().first()
    row = {"person": person, "kind": kind, "of": of}
    terms = {"valid_from": valid_from, "valid_until": valid_until, "source": source}
    if old is not None:
        tx.execute(update(t.membership).where(*place).values(**terms))
    else:
        tx.execute(insert(t.membership), {**row, **terms})
    tx.execute(update(t.person).where(t.person.c.id == person).values(moved_at=tx.now))
    before = None if old is None else {name: old[name] for name in (*row, *terms) if name != "person"}
    after = {"kind": kind, "of": of, **terms}
    changed(tx, by, "person.appointed", who.login, [("person", person)], before=before, after=after)


def withdraw(tx: Unit, by: Actor, person: str, kind: words.MemberOf, of: str) -> None:
    """Takes a person out of a position, unit or group. Raises NotFound where he is not in it."""
    who = people.by_id(tx, person)
    place = (t.membership.c.person == person, t.membership.c.kind == kind, t.membership.c.of == of)
    if not tx.execute(delete(t.membership).where(*place).returning(t.membership.c.of)).fetchall():
        raise refused(NotFound, "not_in_place", login=who.login, kind=Term(kind), of=of)
    tx.execute(update(t.person).where(t.person.c.id == person).values(moved_at=tx.now))
    changed(tx, by, "person.withdrawn", who.login, [("person", person)], before={"kind": kind, "of": of})


# --- what they have in common -------------------------------------------------------------------------------------


def _change(
    tx: Unit,
    by: Actor,
    table: Table,
    what: str,
    id: str,
    values: Mapping[str, Any],
    event: str | None = None,
    reason: str | None = None,
) -> None:
    before = there(tx, table, id, what)
    old, new = differing(before, values)
    if not new:
        return
    stamp = {"changed_at": tx.now} if "changed_at" in table.c else {}
    tx.execute(update(table).where(table.c.id == id).values(**new, **stamp))
    why = {"reason": reason_of(reason)} if reason is not None else {}
    changed(tx, by, event or f"{what}.changed", id, [(what, id)], before=old, after={**new, **why})


def _remove(tx: Unit, by: Actor, table: Table, what: str, id: str, reason: str, inside: int = 0) -> None:
    before = there(tx, table, id, what)
    m = t.membership.c
    inside += tx.execute(select(func.count()).where(m.kind == what, m.of == id)).scalar_one()
    if inside:
        raise refused(BadRequest, "not_empty", what=Term(what), id=id)
    if _named_by_rights(tx, what, id):
        raise refused(BadRequest, "named_by_rights", what=Term(what), id=id)
    tx.execute(delete(table).where(table.c.id == id))
    changed(tx, by, f"{what}.removed", id, [(what, id)], before=before, after={"reason": reason_of(reason)})


def _named_by_rights(tx: Unit, what: str, id: str) -> bool:
    """Whether a grant or forbid names it: that would come to life again with the next one of its name."""
    for table in (t.grant, t.forbid):
        c = table.c
        named = [and_(c.to_kind == what, c.to_id == id), and_(c.scope == what, c.scope_id == id)]
        if what == "unit":
            named.append(and_(c.to_kind == "title", c.to_id.endswith(f"@{id}", autoescape=True)))
        if tx.execute(select(c.id).where(or_(*named)).limit(1)).first() is not None:
            return True
    return False


def _same_company(tx: Unit, unit: str, company: str) -> None:
    if there(tx, t.unit, unit, "unit")["company"] != company:
        raise refused(BadRequest, "other_company", unit=unit)


def _no_circle(tx: Unit, id: str, above: str) -> None:
    at: str | None = above
    while at is not None:
        if at == id:
            raise refused(BadRequest, "unit_circle", unit=id)
        at = tx.execute(select(t.unit.c.parent).where(t.unit.c.id == at)).scalar()
