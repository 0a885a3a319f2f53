"""`/login/first`: whoever has the first password makes the first administrator, a person with a name and a password."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, Field
from sqlalchemy import select

from flows.access import grants, people, roles, standard
from flows.access.changes import Actor, Unit
from flows.access.tables import role
from flows.signin import challenges, first, passwords
from pipe.errors import BadRequest
from web.pages.call import Call
from web.pages.forms import Input, Invalid, Said
from web.pages.permission import PUBLIC
from web.pages.results import Done
from web.pages.router import Area
from web.signin.entering import FIRST, entered, half_done, start

AREA = Area("beginning")
ADMINISTRATOR = next(each for each in standard.ROLES if each.id == "administrator")


class Beginning(BaseModel):
    """What the page shows."""

    shortest: int


class Newcomer(Input):
    """The first administrator."""

    name: Said = Field(min_length=2, max_length=120, description="Name and surname.")
    login: Said = Field(min_length=2, max_length=128, description="Login, best the work mail address.")
    password: str = Field(max_length=1000, description="A password of their own.")
    repeated: str = Field(max_length=1000, description="The same again.")


@AREA.page("/login/first", "login/first.html", permission=PUBLIC, early=True)
async def beginning(call: Call) -> Beginning | web.StreamResponse:
    """The form of the first administrator, for whoever has just given the first password."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor != FIRST:
        return web.Response(status=303, headers={"Location": "/login"})
    return Beginning(shortest=passwords.SHORTEST)


@AREA.action("/login/first", permission=PUBLIC, on=beginning, early=True)
async def begin(call: Call, form: Newcomer) -> Done:
    """Makes the first administrator and signs them in; the first password is gone with that."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor != FIRST:
        return Done("/login", "code.over")
    check_new(form.password, form.repeated, form.login, form.name)
    hashed = await call.site.passwords.hash(form.password)
    try:
        console = Actor("first-password", address=call.address)
        token = await call.site.access.change(console, lambda tx: _make(tx, call, challenge, form, hashed))
    except BadRequest as error:
        raise Invalid("login", "form.error.refused", why=call.words.refusal(error)) from None
    if token is None:
        return Done("/login", "code.over")
    call.site.first_password_used()
    return entered(call, token, "/")


def check_new(password: str, repeated: str, login: str, name: str) -> None:
    """Raises Invalid where a new password will not do."""
    if (wrong := passwords.mistake(password, login, name)) is not None:
        raise Invalid("password", f"password.{wrong}", n=passwords.SHORTEST)
    if password != repeated:
        raise Invalid("repeated", "password.differs")


def _make(tx: Unit, call: Call, challenge: challenges.Challenge, form: Newcomer, hashed: str) -> str | None:
    if not challenges.close(tx, challenge.id) or not first.forget(tx):
        return None
    by = Actor("first-password", address=call.address)
    person = people.create(tx, by, form.login, form.name, level=3, language=call.words.language)
    passwords.keep(tx, person.id, hashed)
    make_administrator(tx, by, person)
    return start(tx, call, person, ["password"])


def make_administrator(tx: Unit, by: Actor, person: people.Person) -> None:
    """Grants the standard role that governs rights and the gateway; makes it again where somebody has removed it."""
    made = ADMINISTRATOR
    if tx.execute(select(role.c.id).where(role.c.id == made.id)).first() is None:
        roles.create(tx, by, made.id, {"uk": made.uk, "en": made.en}, made.permissions, about=made.about)
    fresh = grants.give(tx, by, made.id, "person", person.id, scope="all", level=3, reason="перший адміністратор")
    # Level 3 needs a second person's word. There is nobody yet: the machine that showed the password stands in.
    grants.approve(tx, Actor("gateway"), fresh)
