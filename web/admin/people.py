"""`/admin/people`: who may sign in, people and service accounts."""

from __future__ import annotations

import secrets
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, Row, select

from flows.access import people
from flows.access.changes import Unit
from flows.access.engine import Need
from flows.access.filtering import Protected
from flows.access.model import Object
from flows.access.people import Person
from flows.access.tables import person
from flows.signin import factors, passwords
from pipe.errors import BadRequest
from web.admin import told
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Said
from web.pages.listing import Column, Listing, Query, listed
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

AREA = Area("people")
NONE = "-"
"""stands for no company where nothing means that it stays"""
ONE_TIME_S = 3 * 86400.0
"""how long a password is good that was given to somebody"""
THEIRS = Protected(company=person.c.company, owner=person.c.id)
"""where the table of people keeps what rights ask for"""
MAIL, LOGIN = r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}$", r"^[A-Za-z0-9][A-Za-z0-9.@+_-]*$"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


def person_object(company: str | None, id_of: str) -> Object:
    """A person as what rights are about."""
    return Object(company=company, owner=id_of)


# --- the list -----------------------------------------------------------------------------------------------------


class PeopleQuery(Query):
    """Which people."""

    state: Literal["", "active", "blocked", "left"] = Field(default="", description="Only those in this state.")
    kind: Literal["", "person", "service"] = Field(default="", description="Only people, or only service accounts.")
    factor: Literal["", "yes", "no"] = Field(default="", description="Only people with a second factor, or without.")


class PersonRow(BaseModel):
    """One line of the list."""

    id: str = Field(description="Names the person.")
    login: str = Field(description="Login.")
    name: str = Field(description="Name.")
    kind: str = Field(description="`person` or `service`.")
    state: str = Field(description="`active`, `blocked` or `left`.")
    company: str | None = Field(description="The company that the person belongs to.")
    second_factor: bool = Field(description="Whether there is an app, a Telegram chat, or single sign-on.")
    signed_in_at: float | None = Field(description="When the person last signed in, seconds since 1970.")


class People(BaseModel):
    """The list and how it was asked for."""

    people: Listing[PersonRow] = Field(description="This page of the list.")
    ask: PeopleQuery = Field(description="What was asked.")


@AREA.page(
    "/admin/people", "admin/people.html", permission="person.read", api="GET /people",
    nav=Nav("nav.manage", "people.title", "team", 10),
)  # fmt: skip
async def everybody(call: Call, ask: PeopleQuery) -> People:
    """People and service accounts."""
    seen = call.rows("person.read", THEIRS)
    return People(people=await call.read(lambda connection: _listed(connection, ask, seen)), ask=ask)


def _listed(connection: Connection, ask: PeopleQuery, seen: ColumnElement[bool]) -> Listing[PersonRow]:
    factor = factors.any_second()
    query = select(person, factor.label("second_factor")).where(seen)
    if ask.state:
        query = query.where(person.c.state == ask.state)
    if ask.kind:
        query = query.where(person.c.kind == ask.kind)
    if ask.factor:
        query = query.where(person.c.kind == "person", factor if ask.factor == "yes" else ~factor)
    columns = (
        Column("name", person.c.name, search=True, words=True),
        Column("login", person.c.login, search=True),
        Column("email", person.c.email, search=True),
        Column("state", person.c.state),
        Column("signed_in_at", person.c.signed_in_at),
    )
    return listed(connection, query, ask, columns, _row, sort="name", last=person.c.id)


def _row(row: Row[Any]) -> PersonRow:
    return PersonRow(**{name: getattr(row, name) for name in PersonRow.model_fields})


# --- somebody new -------------------------------------------------------------------------------------------------


class NewPerson(Input):
    """Somebody new."""

    name: Said = Field(min_length=2, max_length=120, description="Name and surname, or what the service is.")
    login: str = Field(min_length=2, max_length=128, pattern=LOGIN, description="Login, best the work mail address.")
    email: str | None = Field(default=None, max_length=200, pattern=MAIL, description="Mail address.")
    kind: Literal["person", "service"] = Field(default="person", description="A person, or an account of a program.")
    company: str | None = Field(default=None, max_length=64, description="The company that the person belongs to.")
    level: int = Field(default=1, ge=0, le=3, description="The most confidential that the person is cleared for.")


class Given(BaseModel):
    """Somebody new, or with a new password; the password is shown this once."""

    id: str = Field(description="Names the person.")
    login: str = Field(description="Login.")
    name: str = Field(description="Name.")
    password: str | None = Field(description="One-time password; to be changed at the first sign-in.")
    until: float = Field(description="Until when it is good, seconds since 1970.")


class NewAsk(Input):
    """What the form begins with."""

    kind: Literal["person", "service"] = Field(default="person", description="A person, or an account of a program.")


class NewPage(BaseModel):
    """The form of somebody new."""

    kind: str
    companies: list[tuple[str, str]]
    levels: list[tuple[str, str]]


@AREA.page("/admin/people/new", "admin/person_new.html", permission="person.create")
async def newcomer(call: Call, ask: NewAsk) -> NewPage:
    """The form for somebody new."""
    return NewPage(kind=ask.kind, companies=told.companies(call, "person.create"), levels=told.levels(call.words))


@AREA.action("/admin/people/new", permission="person.create", on=newcomer, api="POST /people", result=Given, status=201)
async def add(call: Call, form: NewPerson) -> Done | Show:
    """Adds a person, who gets a one-time password, or a service account, which gets keys instead."""
    if await call.read(lambda connection: _taken(connection, form.login)):
        raise Invalid("login", "people.taken")
    one_time = one_time_password() if form.kind == "person" else None
    hashed = await call.site.passwords.hash(one_time) if one_time else None
    try:
        need = Need("person.create", Object(company=form.company))
        made = await call.change(lambda tx: _add(tx, call, form, hashed), need)
    except BadRequest as error:
        raise Invalid("login", "form.error.refused", why=call.words.refusal(error)) from None
    given = Given(id=made.id, login=made.login, name=made.name, password=one_time, until=call.now + ONE_TIME_S)
    if one_time is None:
        return Done(f"/admin/people/{made.id}", "people.added", {"name": made.name}, result=given, status=201)
    return Show("admin/person_given.html", given, status=201)


def one_time_password() -> str:
    """99 bits of chance, easy to read out."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(20))
    return "-".join(letters[at : at + 5] for at in range(0, 20, 5))


def _taken(connection: Connection, login: str) -> bool:
    return people.find(connection, login) is not None


def _add(tx: Unit, call: Call, form: NewPerson, hashed: str | None) -> Person:
    made = people.create(
        tx, call.by, form.login, form.name, kind=form.kind, email=form.email, language=call.words.language,
        company=form.company, level=form.level,
    )  # fmt: skip
    if hashed is not None:
        passwords.keep(tx, made.id, hashed, must_change=True, expires_at=tx.now + ONE_TIME_S)
    return made
