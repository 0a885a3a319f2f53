"""What is forbidden whatever was granted, what does not go together, which fields are shown to whom. Units of work."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Table, delete, insert, select

from flows.access import tables as t
from flows.access import words
from flows.access.changes import Actor, Unit, changed
from flows.access.grants import check_holder, check_scope
from flows.access.permissions import PERMISSIONS, permission
from flows.access.rows import free, plain, reason_of, there
from pipe.errors import BadRequest, NotFound
from pipe.refusing import refused


def forbid(
    tx: Unit,
    by: Actor,
    id: str,
    permissions: Iterable[str],
    to_kind: str = "everyone",
    to_id: str | None = None,
    *,
    scope: str = "all",
    scope_id: str | None = None,
    level: int = 0,
    tags: Iterable[str] = (),
    states: Iterable[str] = (),
    factor_within: float | None = None,
    valid_from: float | None = None,
    valid_until: float | None = None,
    reason: str,
) -> None:
    """Forbids permissions (`area.verb`, `area.*`, `*`) to somebody on some objects, from a level on; no grant helps.

    With `factor_within` (seconds) it does not hold for who gave a second factor so recently.
    """
    free(tx, t.forbid, words.slug(id), "forbid")
    patterns = [words.pattern_of(each) for each in permissions]
    for each in patterns:
        if not any(words.covers(each, name) for name in PERMISSIONS):
            raise refused(BadRequest, "no_such_permissions", pattern=each)
    if not patterns:
        raise refused(BadRequest, "forbids_nothing")
    if to_kind == "role":
        there(tx, t.role, to_id or "", "role")
    elif to_kind != "everyone":
        check_holder(tx, to_kind, to_id or "")
    check_scope(tx, scope, scope_id)
    if factor_within is not None and factor_within <= 0:
        raise refused(BadRequest, "no_factor_time")
    row = {
        "id": id,
        "permissions": words.joined(patterns),
        "to_kind": to_kind,
        "to_id": to_id if to_kind != "everyone" else None,
        "scope": scope,
        "scope_id": scope_id,
        "level": words.level_of(level),
        "tags": words.joined(words.slug(tag) for tag in tags),
        "states": words.joined(states),
        "factor_within": factor_within,
        "valid_from": valid_from,
        "valid_until": valid_until,
        "reason": reason_of(reason),
        "made_by": by.name,
        "made_at": tx.now,
    }
    tx.execute(insert(t.forbid), row)
    changed(tx, by, "forbid.made", id, [("forbid", id)], after=row)


def lift(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Takes a forbid back."""
    _remove(tx, by, t.forbid, "forbid", "forbid.lifted", id, reason)


def separate(tx: Unit, by: Actor, id: str, kind: str, first: str, second: str, reason: str) -> None:
    """Two permissions that nobody has both (`static`), or nobody uses both on one object (`same_object`)."""
    free(tx, t.separation, words.slug(id), "separation")
    if kind not in {"static", "same_object"}:
        raise refused(BadRequest, "no_separation_kind", kind=kind)
    if permission(first) == permission(second):
        raise refused(BadRequest, "separate_from_itself")
    row = {"id": id, "kind": kind, "first": first, "second": second, "reason": reason_of(reason)}
    tx.execute(insert(t.separation), {**row, "made_by": by.name, "made_at": tx.now})
    changed(tx, by, "separation.made", id, [("separation", id)], after=row)


def join(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Takes a separation back."""
    _remove(tx, by, t.separation, "separation", "separation.removed", id, reason)


def show_from(tx: Unit, by: Actor, kind: str, name: str, level: int, below: str) -> None:
    """From which level on a field of a kind of object is shown, and what below it: `mask` or `hide`."""
    if below not in {"mask", "hide"}:
        raise refused(BadRequest, "no_masking", below=below)
    where = (t.field.c.kind == kind, t.field.c.name == name)
    old = tx.execute(select(t.field.c.level, t.field.c.below).where(*where)).mappings().first()
    row = {"level": words.level_of(level), "below": below}
    tx.execute(delete(t.field).where(*where))
    stamp = {"made_by": by.name, "made_at": tx.now}
    tx.execute(insert(t.field), {"kind": words.slug(kind), "name": name, **row, **stamp})
    before = plain(old) if old is not None else None
    changed(tx, by, "field.ruled", f"{kind}/{name}", [("field", f"{kind}/{name}")], before=before, after=row)


def show_always(tx: Unit, by: Actor, kind: str, name: str, reason: str) -> None:
    """Takes the rule of a field back."""
    where = (t.field.c.kind == kind, t.field.c.name == name)
    gone = tx.execute(delete(t.field).where(*where).returning(t.field.c.level, t.field.c.below)).mappings().first()
    if gone is None:
        raise refused(NotFound, "no_field_rule", name=name, kind=kind)
    event, target = "field.unruled", f"{kind}/{name}"
    changed(tx, by, event, target, [("field", target)], before=plain(gone), after={"reason": reason_of(reason)})


def _remove(tx: Unit, by: Actor, table: Table, what: str, event: str, id: str, reason: str) -> None:
    before = there(tx, table, id, what)
    tx.execute(delete(table).where(table.c.id == id))
    changed(tx, by, event, id, [(what, id)], before=before, after={"reason": reason_of(reason)})
