"""Roles: named sets of permissions. Units of work: each writes its audit row, with all permissions before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update

from flows.access import words
from flows.access.changes import Actor, Unit, changed
from flows.access.permissions import permission
from flows.access.rows import free, names_of, reason_of, there
from flows.access.tables import forbid, grant, role, role_include, role_permission
from pipe.errors import BadRequest
from pipe.refusing import refused


def create(
    tx: Unit,
    by: Actor,
    id: str,
    names: Mapping[str, str],
    permissions: Iterable[str],
    *,
    includes: Iterable[str] = (),
    about: str = "",
    emergency: bool = False,
) -> None:
    """A new role. Raises BadRequest for a permission that does not exist, NotFound for a role that it would include."""
    free(tx, role, words.slug(id), "role")
    row = {"id": id, **names_of(names), "about": about, "emergency": emergency}
    tx.execute(insert(role), {**row, "created_at": tx.now, "changed_at": tx.now})
    _write(tx, id, permissions, includes)
    changed(tx, by, "role.created", id, [("role", id)], after=_told(tx, id))


def change(
    tx: Unit,
    by: Actor,
    id: str,
    *,
    names: Mapping[str, str] | None = None,
    permissions: Iterable[str] | None = None,
    includes: Iterable[str] | None = None,
    about: str | None = None,
    emergency: bool | None = None,
) -> None:
    """What is given takes the place of what was; whoever has the role has it so from this moment on."""
    before = _told(tx, id)
    values: dict[str, Any] = {**(names_of(names) if names else {})}
    if about is not None:
        values["about"] = about
    if emergency is not None:
        values["emergency"] = emergency
    _write(tx, id, permissions, includes)
    if values:
        tx.execute(update(role).where(role.c.id == id).values(**values))
    after = _told(tx, id)
    if after == before:
        return
    tx.execute(update(role).where(role.c.id == id).values(changed_at=tx.now))
    changed(tx, by, "role.changed", id, [("role", id)], before=before, after=after)


def remove(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Takes a role away that nobody was given and none includes. Raises BadRequest where it is in use."""
    before = _told(tx, id)
    used = {
        "role_granted": select(grant.c.id).where(grant.c.role == id),
        "role_included": select(role_include.c.role).where(role_include.c.included == id),
        "role_forbidden": select(forbid.c.id).where(forbid.c.to_kind == "role", forbid.c.to_id == id),
    }
    for how, query in used.items():
        if tx.execute(query).first() is not None:
            raise refused(BadRequest, how, role=id)
    for table, column in ((role_permission, role_permission.c.role), (role_include, role_include.c.role)):
        tx.execute(delete(table).where(column == id))
    tx.execute(delete(role).where(role.c.id == id))
    changed(tx, by, "role.removed", id, [("role", id)], before=before, after={"reason": reason_of(reason)})


def _write(tx: Unit, id: str, permissions: Iterable[str] | None, includes: Iterable[str] | None) -> None:
    if permissions is not None:
        names = sorted({permission(name).name for name in permissions})
        tx.execute(delete(role_permission).where(role_permission.c.role == id))
        if names:
            tx.execute(insert(role_permission), [{"role": id, "permission": name} for name in names])
    if includes is not None:
        wanted = sorted(set(includes))
        for each in wanted:
            _told(tx, each)
            if id in _within(tx, each):
                raise refused(BadRequest, "role_circle", role=id, through=each)
        tx.execute(delete(role_include).where(role_include.c.role == id))
        if wanted:
            tx.execute(insert(role_include), [{"role": id, "included": each} for each in wanted])


def _within(tx: Unit, id: str) -> set[str]:
    """A role and all that it includes."""
    seen, ahead = {id}, [id]
    while ahead:
        rows = tx.execute(select(role_include.c.included).where(role_include.c.role == ahead.pop())).scalars()
        fresh = set(rows) - seen
        seen |= fresh
        ahead += fresh
    return seen


def _told(tx: Unit, id: str) -> dict[str, Any]:
    """The whole role for the audit. Raises NotFound."""
    row = there(tx, role, id, "role")
    of = select(role_permission.c.permission).where(role_permission.c.role == id)
    within = select(role_include.c.included).where(role_include.c.role == id)
    return {
        **{name: row[name] for name in ("id", "name_uk", "name_en", "about", "emergency")},
        "permissions": sorted(tx.execute(of).scalars()),
        "includes": sorted(tx.execute(within).scalars()),
    }
