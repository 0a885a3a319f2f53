"""Grants: a role for somebody, on some objects, for a time. Units of work: each writes its audit row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Table, delete, insert, select, update

from flows.access import tables as t
from flows.access import words
from flows.access.changes import Actor, Unit, changed
from flows.access.model import Grant
from flows.access.rows import plain, reason_of, there
from pipe.errors import BadRequest, Denied, NotFound
from pipe.refusing import Term, refused

EMERGENCY_S = 3600.0
"""no emergency lasts longer"""
_NAMED: dict[str, Table] = {"person": t.person, "position": t.position, "unit": t.unit, "group": t.group}


def give(
    tx: Unit,
    by: Actor,
    role: str,
    to_kind: str,
    to_id: str,
    *,
    scope: str,
    scope_id: str | None = None,
    level: int = 1,
    tags: Iterable[str] = (),
    states: Iterable[str] = (),
    valid_from: float | None = None,
    valid_until: float | None = None,
    reason: str,
    source: str = "manual",
) -> str:
    """Gives a role; returns the grant's id. To a position, title, unit or group: whoever is in it has it, as long.

    A title may be `operator` (anywhere) or `operator@UNIT` (in and below that unit). A grant of level 3 waits for
    `approve` by somebody else. Raises NotFound, BadRequest.
    """
    there(tx, t.role, role, "role")
    check_holder(tx, to_kind, to_id)
    check_scope(tx, scope, scope_id)
    if valid_until is not None and valid_until <= max(tx.now, valid_from or 0):
        raise refused(BadRequest, "over_at_once")
    fresh = tx.new_id()
    row = {
        "id": fresh,
        "role": role,
        "to_kind": to_kind,
        "to_id": to_id,
        "scope": scope,
        "scope_id": scope_id,
        "level": words.level_of(level),
        "tags": words.joined(words.slug(tag) for tag in tags),
        "states": words.joined(states),
        "valid_from": valid_from,
        "valid_until": valid_until,
        "reason": reason_of(reason),
        "source": source,
        "granted_by": by.name,
        "granted_at": tx.now,
    }
    tx.execute(insert(t.grant), row)
    event = "access.emergency" if source == "emergency" else "grant.given"
    changed(tx, by, event, _target(tx, to_kind, to_id), [("grant", fresh)], after=row)
    return fresh


def approve(tx: Unit, by: Actor, id: str) -> None:
    """The second person's word on a grant of level 3. Raises Denied for who gave it or would have it."""
    before = _grant(tx, id)
    if before["approved_by"] is not None:
        raise refused(BadRequest, "approved_already", facts={"grant": id})
    if by.name == before["granted_by"] or (before["to_kind"], before["to_id"]) == ("person", by.person):
        raise refused(Denied, "own_approval")
    tx.execute(update(t.grant).where(t.grant.c.id == id).values(approved_by=by.name, approved_at=tx.now))
    target = _target(tx, before["to_kind"], before["to_id"])
    changed(tx, by, "grant.approved", target, [("grant", id)], before=before, after={"approved_by": by.name})


def revoke(tx: Unit, by: Actor, id: str, reason: str) -> None:
    """Takes a grant back, at once. Raises NotFound."""
    before = _grant(tx, id)
    tx.execute(delete(t.grant).where(t.grant.c.id == id))
    target = _target(tx, before["to_kind"], before["to_id"])
    changed(tx, by, "grant.revoked", target, [("grant", id)], before=before, after={"reason": reason_of(reason)})


def emergency(
    tx: Unit, by: Actor, role: str, *, scope: str, scope_id: str | None, level: int, seconds: float, reason: str
) -> str:
    """A role that is meant for it, taken for an hour at most with a reason; for the actor himself, at once."""
    if by.person is None:
        raise refused(BadRequest, "emergency_of_nobody")
    if not there(tx, t.role, role, "role")["emergency"]:
        raise refused(BadRequest, "no_emergency_role", role=role)
    if len(reason.strip()) < 10:
        raise refused(BadRequest, "emergency_reason")
    if not 60 <= seconds <= EMERGENCY_S:
        raise refused(BadRequest, "emergency_time", most=int(EMERGENCY_S // 60))
    return give(
        tx,
        by,
        role,
        "person",
        by.person,
        scope=scope,
        scope_id=scope_id,
        level=level,
        valid_until=tx.now + seconds,
        reason=reason,
        source="emergency",
    )


# --- what forbids need, too ---------------------------------------------------------------------------------------


def check_holder(tx: Unit, to_kind: str, to_id: str) -> None:
    """Raises NotFound or BadRequest where nobody can be meant by it."""
    if to_kind == "title":
        title, _, unit = to_id.partition("@")
        words.slug(title)
        if unit:
            there(tx, t.unit, unit, "unit")
    elif to_kind in _NAMED:
        there(tx, _NAMED[to_kind], to_id, to_kind)
    else:
        raise refused(BadRequest, "no_holder", kind=to_kind, holders=", ".join(words.HOLDERS))


def check_scope(tx: Unit, scope: str, scope_id: str | None) -> None:
    """Raises NotFound or BadRequest where it is no scope."""
    if scope not in words.SCOPES:
        raise refused(BadRequest, "no_scope", scope=scope, scopes=", ".join(words.SCOPES))
    if scope_id is not None:
        if scope in {"all", "own"}:
            raise refused(BadRequest, "scope_of_none", scope=Term(scope))
        there(tx, t.company if scope == "company" else t.unit, scope_id, scope)


def _grant(tx: Unit, id: str) -> dict[str, Any]:
    row = tx.execute(select(t.grant).where(t.grant.c.id == id)).mappings().first()
    if row is None:
        raise refused(NotFound, "no_grant", facts={"grant": id})
    return plain(row)


def _target(tx: Unit, to_kind: str, to_id: str) -> str:
    """Whom the audit names: the login of a person, `kind/name` of what stands for several."""
    if to_kind != "person":
        return f"{to_kind}/{to_id}"
    return str(tx.execute(select(t.person.c.login).where(t.person.c.id == to_id)).scalar() or to_id)


def told(grant: Grant) -> dict[str, Any]:
    """A grant as plain values."""
    return {**asdict(grant), "tags": sorted(grant.tags), "states": sorted(grant.states), "waits": grant.waits}
