"""`/admin/people/{id}`: one person or service account, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection, Row, func, select

from flows.access import people, words
from flows.access.changes import Unit
from flows.access.engine import Need
from flows.access.people import Person
from flows.access.tables import key, password, session
from flows.otp import bindings
from flows.signin import factors, passwords, sessions
from flows.signin import totp as app
from pipe.errors import BadRequest, NotFound
from pipe.store.transaction import Tx
from web.admin import told
from web.admin.changing import Effects, Rehearsable, carried_out
from web.admin.people import MAIL, NONE, ONE_TIME_S, Given, one_time_password, person_object
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Said
from web.pages.results import Done, Show
from web.pages.router import Area

AREA = Area("person")


class KeyRow(BaseModel):
    """One key of an account."""

    id: str = Field(description="The key's visible beginning.")
    name: str = Field(description="What it is for.")
    permissions: list[str] = Field(description="What it may be used for at most; nothing: all that its owner may.")
    created_at: float = Field(description="When it was made.")
    expires_at: float = Field(description="Until when it is good.")
    used_at: float | None = Field(description="When it was last used.")
    revoked_at: float | None = Field(description="When it was revoked.")


class Place(BaseModel):
    """A position, unit or group that somebody is in."""

    kind: str = Field(description="`position`, `unit` or `group`.")
    of: str = Field(description="Its short name.")
    name: str = Field(description="Its name.")
    valid_until: float | None = Field(description="Until when, seconds since 1970.")


class Held(BaseModel):
    """A role that somebody has."""

    grant: str = Field(description="Names the grant.")
    role: str = Field(description="The role.")
    role_name: str = Field(description="Its name.")
    through: str = Field(description="How the person has it: by name, or by a place.")
    where: str = Field(description="On which objects, up to which level.")
    waits: bool = Field(description="Whether a second person has to approve it first.")


ACTS = (
    "person.edit", "person.move", "person.block", "person.dismiss", "password.reset", "session.end", "grant.read",
    "grant.give", "key.read", "access.explain",
)  # fmt: skip
"""what can be done with a person"""


class PersonPage(BaseModel):
    """One person."""

    id: str = Field(description="Names the person.")
    login: str = Field(description="Login.")
    name: str = Field(description="Name.")
    email: str | None = Field(description="Mail address.")
    kind: str = Field(description="`person` or `service`.")
    state: str = Field(description="`active`, `blocked` or `left`.")
    created_at: float = Field(description="When the account was made.")
    signed_in_at: float | None = Field(description="When the person last signed in.")
    has_password: bool = Field(description="Whether there is a password.")
    factors: list[str] = Field(description="Second factors: `totp` (an app), `otp` (Telegram), `oidc` (a provider).")
    company: str | None = Field(description="The company that the person belongs to.")
    level: int = Field(description="The most confidential that the person is cleared for, 0 to 3.")
    sessions: int = Field(description="Open sessions.")
    keys: list[KeyRow] = Field(description="Its API keys.")
    places: list[Place] = Field(description="Positions, units and groups that the person is in.")
    grants: list[Held] = Field(description="Roles that the person has, and how.")
    can: list[str] = Field(description="What you may do with this person.")
    companies: list[tuple[str, str]] = Field(default=[], exclude=True)
    levels: list[tuple[str, str]] = Field(default=[], exclude=True)
    offered: list[tuple[str, str]] = Field(default=[], exclude=True)


@AREA.page("/admin/people/{id}", "admin/person.html", permission="person.read", api="GET /people/{id}")
async def one(call: Call) -> PersonPage:
    """One person or service account."""
    need = await about(call, "person.read")
    found = await call.read(lambda connection: _one(connection, call.params["id"], call.now))
    words = call.words
    can = [each for each in ACTS if call.may(each, need.thing)]
    more = {
        "can": can,
        "places": _places(call, found.id),
        "grants": _held(call, found.id) if "grant.read" in can else [],
        "keys": found.keys if "key.read" in can else [],
        "companies": _with_own(call, found.company),
        "levels": told.levels(words),
        "offered": told.places(call, "person.move"),
    }
    return found.model_copy(update=more)


def _with_own(call: Call, company: str | None) -> told.Choices:
    """Companies that the person can come to, and the one that he belongs to."""
    offered = told.companies(call, "person.edit")
    known = call.site.access.snapshot.company.get(company or "")
    own = [(known.id, call.words.name_of(known))] if known is not None else []
    return [(NONE, "–"), *sorted({*offered, *own}, key=told.by_label)]


def _places(call: Call, id_of: str) -> list[Place]:
    snapshot = call.site.access.snapshot
    person = snapshot.person.get(id_of)
    return [
        Place(
            kind=each.kind,
            of=each.of,
            name=told.holder(call.words, snapshot, each.kind, each.of),
            valid_until=each.valid_until,
        )
        for each in (person.memberships if person is not None else ())
    ]


def _held(call: Call, id_of: str) -> list[Held]:
    snapshot, words, rights = call.site.access.snapshot, call.words, call.site.access.rights(id_of)
    return [
        Held(
            grant=each.id,
            role=each.role,
            role_name=words.name_of(snapshot.role[each.role]) if each.role in snapshot.role else each.role,
            through="" if each.to_kind == "person" else told.holder(words, snapshot, each.to_kind, each.to_id),
            where=f"{told.terms(words, snapshot, each)}; {words('level.up_to', n=each.level)}",
            waits=each.waits,
        )
        for each in (*rights.grants, *rights.waiting)
    ]


async def about(call: Call, permission: str) -> Need:
    """What a change of this person demands. Raises Denied where it may not be, NotFound where nothing may be known."""
    found = await call.read(lambda connection: people.by_id(connection, call.params["id"]))
    thing = person_object(found.company, found.id)
    if not call.may("person.read", thing):
        raise NotFound("nobody has this id")
    call.require(permission, thing)
    return Need(permission, thing)


def _one(connection: Connection, id_of: str, now: float) -> PersonPage:
    found = people.by_id(connection, id_of)
    open_ = select(func.count()).where(
        session.c.person == id_of, session.c.ended_at.is_(None), session.c.expires_at > now
    )
    keys = connection.execute(select(key).where(key.c.person == id_of).order_by(key.c.created_at.desc(), key.c.id))
    return PersonPage(
        id=found.id,
        login=found.login,
        name=found.name,
        email=found.email,
        kind=found.kind,
        state=found.state,
        created_at=found.created_at,
        signed_in_at=found.signed_in_at,
        has_password=connection.execute(select(password.c.person).where(password.c.person == id_of)).first()
        is not None,
        factors=factors.of(connection, id_of),
        sessions=connection.execute(open_).scalar_one(),
        company=found.company,
        level=found.level,
        keys=[key_row(row) for row in keys],
        places=[],
        grants=[],
        can=[],
    )


def key_row(row: Row[Any]) -> KeyRow:
    """A key as it is shown."""
    values = {name: getattr(row, name) for name in KeyRow.model_fields}
    return KeyRow(**{**values, "permissions": sorted(words.parted(row.permissions))})


class Changed(Rehearsable):
    """What of a person can be changed here."""

    name: Said = Field(min_length=2, max_length=120, description="Name and surname, or what the service is.")
    email: str | None = Field(default=None, max_length=200, pattern=MAIL, description="Mail address.")
    company: str | None = Field(default=None, max_length=64, description="The company; `-`: none; nothing: as it is.")
    level: int | None = Field(default=None, ge=0, le=3, description="The most confidential; nothing: as it is.")


class Reason(Input):
    """Why."""

    reason: Said = Field(min_length=3, max_length=500, description="Why; stands in the audit.")


@AREA.action("/admin/people/{id}", permission="person.edit", on=one, api="PUT /people/{id}", result=Effects)
async def edit(call: Call, form: Changed) -> Done | Show:
    """Changes name, mail address, company and level."""
    id_of = call.params["id"]
    needs = [await about(call, "person.edit")]
    fields: dict[str, Any] = {"name": form.name, "email": form.email}
    if form.company is not None:
        fields["company"] = None if form.company == NONE else form.company
        needs.append(Need("person.edit", person_object(fields["company"], id_of)))
    if form.level is not None:
        fields["level"] = form.level
    return await carried_out(
        call, form, lambda tx: people.change(tx, call.by, id_of, **fields), *needs,
        to=f"/admin/people/{id_of}", toast="people.changed",
    )  # fmt: skip


@AREA.action("/admin/people/{id}/block", permission="person.block", on=one, api="POST /people/{id}/block")
async def block(call: Call, form: Reason) -> Done:
    """Shuts somebody out: sessions end, keys rest."""
    id_of = call.params["id"]
    if id_of == call.who.id:
        raise Invalid("reason", "people.not_yourself")
    need = await about(call, "person.block")
    await _guarded(call, lambda tx: _shut_out(tx, call, id_of, form.reason, leave=False), need)
    return Done(f"/admin/people/{id_of}", "people.blocked")


@AREA.action("/admin/people/{id}/admit", permission="person.block", on=one, api="POST /people/{id}/admit")
async def admit(call: Call, form: Reason) -> Done:
    """Lets somebody in again."""
    id_of = call.params["id"]
    need = await about(call, "person.block")
    await _guarded(call, lambda tx: people.admit(tx, call.by, id_of, form.reason), need)
    return Done(f"/admin/people/{id_of}", "people.admitted")


@AREA.action("/admin/people/{id}/dismiss", permission="person.dismiss", on=one, api="POST /people/{id}/dismiss")
async def dismiss(call: Call, form: Reason) -> Done:
    """Notes that somebody has left: sessions, keys, positions and grants end."""
    id_of = call.params["id"]
    if id_of == call.who.id:
        raise Invalid("reason", "people.not_yourself")
    need = await about(call, "person.dismiss")
    await _guarded(call, lambda tx: _shut_out(tx, call, id_of, form.reason, leave=True), need)
    return Done(f"/admin/people/{id_of}", "people.dismissed")


async def _guarded(call: Call, unit: Callable[[Unit], object], need: Need) -> None:
    """Runs the change; what stands against it is told beside the reason. Raises Invalid."""
    try:
        await call.change(unit, need)
    except BadRequest as error:
        raise Invalid("reason", "form.error.refused", why=call.words.refusal(error)) from None


def _shut_out(tx: Unit, call: Call, id_of: str, reason: str, *, leave: bool) -> None:
    sessions.end_all_of(tx, id_of, call.actor)
    (people.dismiss if leave else people.block)(tx, call.by, id_of, reason)


@AREA.action(
    "/admin/people/{id}/reset", permission="password.reset", on=one, api="POST /people/{id}/reset", result=Given
)
async def reset(call: Call) -> Show:
    """Gives a person a one-time password and takes the app and the Telegram chat away; sessions end."""
    await about(call, "password.reset")
    id_of, one_time = call.params["id"], one_time_password()
    if id_of == call.who.id:  # one's own needs the password so far
        raise Invalid("", "people.own_password")
    call.site.access.not_over(call.who.id, id_of)
    hashed = await call.site.passwords.hash(one_time)
    found = await call.write(lambda tx: _reset(tx, call, id_of, hashed))
    until = call.now + ONE_TIME_S
    given = Given(id=found.id, login=found.login, name=found.name, password=one_time, until=until)
    return Show("admin/person_given.html", given)


def _reset(tx: Tx, call: Call, id_of: str, hashed: str) -> Person:
    found = people.by_id(tx, id_of)
    if found.kind != "person" or found.state != "active":
        raise Invalid("", "people.no_password")
    passwords.keep(tx, id_of, hashed, must_change=True, expires_at=tx.now + ONE_TIME_S)
    factor = app.forget(tx, id_of)
    chats = bindings.forget(tx, bindings.person(id_of))
    ended = sessions.end_all_of(tx, id_of, call.actor)
    after = {"second_factor_removed": factor or chats > 0, "sessions_ended": ended, "address": call.address}
    tx.audit("password.reset", target=found.login, after=after)
    return found


@AREA.action("/admin/people/{id}/sessions/end", permission="session.end", on=one, api="POST /people/{id}/sessions/end")
async def end_sessions(call: Call) -> Done:
    """Ends all sessions of somebody."""
    await about(call, "session.end")
    id_of = call.params["id"]
    ended = await call.write(lambda tx: _end_sessions(tx, call, id_of))
    return Done(f"/admin/people/{id_of}", "sessions.ended", {"n": ended})


def _end_sessions(tx: Tx, call: Call, id_of: str) -> int:
    found = people.by_id(tx, id_of)
    ended = sessions.end_all_of(tx, id_of, call.actor)
    tx.audit("session.ended", target=found.login, after={"sessions_ended": ended, "address": call.address})
    return ended
