"""People and service accounts: found, created, changed, blocked, gone. Units of work: each writes its audit row.

Names, mail addresses and telephone numbers do not enter the audit, which nobody can alter: digests with the person's
own salt stand for them there, and say no more once the salt is wiped.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from flows.access import words
from flows.access.changes import Actor, Unit, changed, differing
from flows.access.rows import plain, reason_of
from flows.access.tables import (
    company,
    external,
    grant,
    key,
    membership,
    password,
    person,
    session,
    subscription,
    telegram,
    totp,
)
from pipe.errors import BadRequest, NotFound
from pipe.refusing import Term, refused

PERSONAL = ("name", "email", "phone")


@dataclass(frozen=True, slots=True)
class Person:
    """One row, as the pages and the sign-in see it."""

    id: str
    login: str
    kind: words.Kind
    name: str
    email: str | None
    phone: str | None
    company: str | None
    level: int
    state: words.PersonState
    language: str
    valid_until: float | None
    created_at: float
    changed_at: float
    moved_at: float | None
    signed_in_at: float | None

    def shut_out(self, now: float) -> str | None:
        """Why this person may not enter now: `blocked`, `left` or `expired`; None where nothing stands against it."""
        if self.state != "active":
            return self.state
        return "expired" if self.valid_until is not None and now >= self.valid_until else None

    @property
    def actor(self) -> str:
        """As the audit names him."""
        return f"{self.kind}/{self.login}"


_COLUMNS = [person.c[name] for name in Person.__dataclass_fields__]


def find(where: Unit | Connection, login: str) -> Person | None:
    """The person of a login, however it is written; None where there is none (also for what cannot be a login)."""
    try:
        kept = words.login_of(login)
    except BadRequest:
        return None
    row = where.execute(select(*_COLUMNS).where(person.c.login == kept)).mappings().first()
    return _person(row) if row is not None else None


def by_id(where: Unit | Connection, id: str) -> Person:
    """The person of an id. Raises NotFound."""
    row = where.execute(select(*_COLUMNS).where(person.c.id == id)).mappings().first()
    if row is None:
        raise refused(NotFound, "nobody_of_id", facts={"person": id})
    return _person(row)


def called(where: Unit | Connection, login: str) -> Person:
    """The person of a login. Raises NotFound."""
    found = find(where, login)
    if found is None:
        raise refused(NotFound, "nobody_of_login", login=login)
    return found


def everyone(where: Unit | Connection) -> list[Person]:
    """All of them, also who has left; in order of logins."""
    return [_person(row) for row in where.execute(select(*_COLUMNS).order_by(person.c.login)).mappings()]


def create(
    tx: Unit,
    by: Actor,
    login: str,
    name: str,
    *,
    kind: words.Kind = "person",
    email: str | None = None,
    phone: str | None = None,
    company: str | None = None,
    level: int = 1,
    language: str = "uk",
    valid_until: float | None = None,
) -> Person:
    """Somebody new, active and without any right. Raises BadRequest where the login is taken or a value is wrong."""
    fields = _checked(
        tx,
        {
            "login": login,
            "name": name,
            "email": email,
            "phone": phone,
            "company": company,
            "level": level,
            "language": language,
            "valid_until": valid_until,
        },
    )
    if find(tx, login) is not None:
        raise refused(BadRequest, "login_taken", login=fields["login"])
    row: dict[str, Any] = {
        "id": tx.new_id(),
        "kind": kind,
        **fields,
        "state": "active",
        "salt": secrets.token_hex(16),
        "created_at": tx.now,
        "changed_at": tx.now,
    }
    tx.execute(insert(person), row)
    made = by_id(tx, row["id"])
    changed(tx, by, f"{kind}.created", made.login, [("person", made.id)], after=_told(made, row["salt"]))
    return made


def change(tx: Unit, by: Actor, id: str, **fields: Any) -> Person:
    """Some fields changed: name, email, phone, company, level, language, valid_until. Raises BadRequest, NotFound."""
    before = by_id(tx, id)
    unknown = set(fields) - {"name", "email", "phone", "company", "level", "language", "valid_until"}
    if unknown:
        raise refused(BadRequest, "unknown_fields", fields=", ".join(sorted(unknown)))
    values = _checked(tx, fields)
    if all(getattr(before, name) == value for name, value in values.items()):
        return before
    tx.execute(update(person).where(person.c.id == id).values(**values, changed_at=tx.now))
    return _noted(tx, by, f"{before.kind}.changed", before)


def block(tx: Unit, by: Actor, id: str, reason: str) -> Person:
    """Shuts the person out until `admit`: sessions end, keys and rights rest."""
    return _moved(tx, by, id, "blocked", reason, allowed=("active",))


def admit(tx: Unit, by: Actor, id: str, reason: str) -> Person:
    """Lets somebody in again who was blocked or had left; who had left begins without positions and grants."""
    return _moved(tx, by, id, "active", reason, allowed=("blocked", "left"))


def dismiss(tx: Unit, by: Actor, id: str, reason: str) -> Person:
    """Notes that the person has left: sessions, keys, positions and what was granted by name end now."""
    mine = (grant.c.to_kind == "person", grant.c.to_id == id)
    grants = [plain(row) for row in tx.execute(delete(grant).where(*mine).returning(grant)).mappings()]
    places = delete(membership).where(membership.c.person == id).returning(membership.c.kind, membership.c.of)
    lost = {"places": [f"{row.kind}/{row.of}" for row in tx.execute(places)], "grants": grants}
    tx.execute(update(key).where(key.c.person == id, key.c.revoked_at.is_(None)).values(**_ended(tx, by, "revoked")))
    for table in (password, totp, telegram, external, subscription):
        tx.execute(delete(table).where(table.c.person == id))
    gone = [("grant", row["id"]) for row in grants]
    return _moved(tx, by, id, "left", reason, allowed=("active", "blocked"), lost=lost, rows=gone)


def forget(tx: Unit, by: Actor, id: str, reason: str) -> Person:
    """Wipes name, mail and telephone of somebody who has left, and with the salt what the audit could be asked."""
    before = by_id(tx, id)
    if before.state != "left":
        raise refused(BadRequest, "not_left", login=before.login)
    wiped = {"name": "", "email": None, "phone": None, "salt": "", "changed_at": tx.now}
    tx.execute(update(person).where(person.c.id == id).values(**wiped))
    changed(tx, by, "person.forgotten", before.login, [("person", id)], after={"reason": reason_of(reason)})
    return by_id(tx, id)


def end_sessions(tx: Unit, by: Actor, id: str) -> int:
    """Ends every open session of a person; returns how many."""
    open_ = (session.c.person == id, session.c.ended_at.is_(None))
    rows = tx.execute(update(session).where(*open_).values(**_ended(tx, by, "ended")).returning(session.c.id))
    return len(rows.fetchall())


def signed_in(tx: Unit, id: str) -> None:
    """Notes the time; nobody's rights change."""
    tx.execute(update(person).where(person.c.id == id).values(signed_in_at=tx.now))


def _moved(
    tx: Unit,
    by: Actor,
    id: str,
    state: words.PersonState,
    reason: str,
    *,
    allowed: tuple[words.PersonState, ...],
    lost: Mapping[str, Any] | None = None,
    rows: Iterable[tuple[str, str]] = (),
) -> Person:
    before = by_id(tx, id)
    if before.state not in allowed:
        raise refused(BadRequest, "no_way_to_state", login=before.login, before=Term(before.state), state=Term(state))
    tx.execute(update(person).where(person.c.id == id).values(state=state, changed_at=tx.now))
    if state != "active":
        end_sessions(tx, by, id)
    return _noted(tx, by, f"{before.kind}.{_EVENTS[state]}", before, lost, rows, reason=reason_of(reason))


_EVENTS = {"active": "admitted", "blocked": "blocked", "left": "dismissed"}


def _noted(
    tx: Unit,
    by: Actor,
    event: str,
    before: Person,
    lost: Mapping[str, Any] | None = None,
    rows: Iterable[tuple[str, str]] = (),
    **more: Any,
) -> Person:
    after = by_id(tx, before.id)
    salt = tx.execute(select(person.c.salt).where(person.c.id == before.id)).scalar_one()
    old, new = differing(_told(before, salt), _told(after, salt))
    touched = [("person", before.id), *rows]
    changed(tx, by, event, before.login, touched, before={**old, **(lost or {})}, after={**new, **more})
    return after


def _ended(tx: Unit, by: Actor, word: str) -> dict[str, Any]:
    return {f"{word}_at": tx.now, f"{word}_by": by.name}


def _told(of: Person, salt: str) -> dict[str, Any]:
    """The person for the audit: what is personal, as digests."""
    fields = asdict(of)
    for name in ("created_at", "changed_at", "moved_at", "signed_in_at"):
        fields.pop(name)
    for name in PERSONAL:
        if fields[name]:
            fields[name] = digest(salt, fields[name])
    return fields


def digest(salt: str, value: str) -> str:
    """What stands in the audit for a personal value: tells whether it is the same one to who knows the salt."""
    return f"#{hashlib.sha256(f'{salt}|{value}'.encode()).hexdigest()[:16]}"


def _checked(tx: Unit, fields: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(fields)
    if "login" in kept:
        kept["login"] = words.login_of(kept["login"])
    if "name" in kept and not kept["name"].strip():
        raise refused(BadRequest, "no_name")
    if "email" in kept:
        kept["email"] = words.mail_of(kept["email"])
    if "phone" in kept:
        kept["phone"] = words.phone_of(kept["phone"])
    if "level" in kept:
        words.level_of(kept["level"])
    if kept.get("language") not in {None, "uk", "en"}:
        raise refused(BadRequest, "no_language", language=kept["language"])
    if kept.get("company") is not None:
        found = tx.execute(select(company.c.id).where(company.c.id == kept["company"])).first()
        if found is None:
            raise refused(NotFound, "no_company", company=kept["company"])
    return kept


def _person(row: RowMapping) -> Person:
    return Person(**row)
