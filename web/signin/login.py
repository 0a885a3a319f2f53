"""`/login`: the password, then the code. A wrong login and a wrong password look and last the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from flows.access import people
from flows.signin import challenges, first, passwords, sessions, throttle
from pipe.errors import RateLimited
from pipe.store.transaction import Tx
from web.pages import cookies
from web.pages.call import Call
from web.pages.common import local
from web.pages.forms import Input, Invalid
from web.pages.permission import PUBLIC, SIGNED_IN
from web.pages.results import Done, Show
from web.pages.router import Area
from web.signin.entering import CONFIRMS, FIRST, ask_factor, entered, half_done, hold_step, other_ways, start
from web.signin.factors import Prompt

AREA = Area("signin")


class Ask(Input):
    """Where to go after."""

    to: str = Field(default="", max_length=2000, description="The page that was asked for.")


class SignIn(BaseModel):
    """What the page of the first step shows."""

    to: str
    providers: list[tuple[str, str]]
    """name and label of each provider of single sign-on"""
    first: bool
    """whether there is nobody yet, but a first password"""


class Credentials(Input):
    """The first step."""

    login: str = Field(max_length=200, description="Login or mail address.")
    password: str = Field(max_length=1000, description="Password.")
    to: str = Field(default="", max_length=2000, description="The page that was asked for.")


class Later(BaseModel):
    """Too many tries."""

    at: float


@AREA.page("/login", "login/password.html", permission=PUBLIC, early=True)
async def login(call: Call, ask: Ask) -> SignIn | web.StreamResponse:
    """The first step of signing in."""
    if call.person is not None:
        return web.Response(status=303, headers={"Location": local(ask.to or "/")})
    until = await call.read(lambda connection: first.until(connection, call.now))
    to = ask.to or call.form_of("enter").values.get("to", "")
    return SignIn(to=to, providers=call.site.providers.labels(), first=until is not None)


@AREA.action("/login", permission=PUBLIC, on=login, early=True)
async def enter(call: Call, form: Credentials) -> Done | Show:
    """Looks at login and password."""
    keys = throttle.keys_of(call.site.store.vault.hash, form.login, call.address)
    wait = await call.write(lambda tx: throttle.begin(tx, keys))
    if wait:
        return Show("login/later.html", Later(at=call.now + wait), status=429)
    person, kept = await call.read(lambda connection: _known(connection, form.login, call.now))
    right = await _right(call, kept, form.password)
    if person is None and await _is_first(call, form):
        await call.write(lambda tx: throttle.succeed(tx, keys))
        return await _make_first(call)
    if person is None or kept is None or not right:
        await call.write(lambda tx: _note_failure(tx, call, person))
        raise Invalid("", "login.wrong")
    await call.write(lambda tx: throttle.succeed(tx, keys))
    if call.site.passwords.outdated(kept.hash):
        fresh = await call.site.passwords.hash(form.password)
        await call.write(lambda tx: _renew(tx, person.id, kept, fresh))
    goal = form.to or "/"
    if (asked := await ask_factor(call, person, ["password"], goal)) is not None:
        return asked
    return entered(call, await call.write(lambda tx: start(tx, call, person, ["password"])), goal)


async def _right(call: Call, kept: passwords.Kept | None, password: str) -> bool:
    try:
        return await call.site.passwords.right(kept.hash if kept else None, password)
    except TimeoutError:
        raise RateLimited("too many sign in at this moment", retry_after=10) from None


# --- the code -----------------------------------------------------------------------------------------------------


class Step(BaseModel):
    """What the page of the second step shows."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    prompt: Prompt
    left: int
    now: float
    ways: list[str]
    """other factors that this person has"""


class Code(Input):
    """The second step."""

    code: str = Field(pattern=r"^[\d ]{4,12}$", description="The digits.")


@AREA.page("/login/code", "login/code.html", permission=PUBLIC, early=True)
async def code(call: Call) -> Step | web.StreamResponse:
    """The second step of signing in."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor == FIRST:
        return web.Response(status=303, headers={"Location": "/login"})
    prompt: Prompt = await call.site.factor(challenge.factor).prompt(challenge)
    left = challenge.left if prompt.left is None else prompt.left
    return Step(prompt=prompt, left=left, now=call.now, ways=await other_ways(call, challenge))


@AREA.action("/login/code", permission=PUBLIC, on=code, early=True)
async def verify(call: Call, form: Code) -> Done | Show:
    """Looks at the code."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor == FIRST:
        return Done("/login", "code.over")
    keys = throttle.code_key(call.site.store.vault.hash, challenge.person)
    wait = await call.write(lambda tx: throttle.begin(tx, keys))
    if wait:
        return Show("login/later.html", Later(at=call.now + wait), status=429)
    person = await call.read(lambda connection: people.by_id(connection, challenge.person))
    counted = await call.write(lambda tx: challenges.count(tx, challenge.id))
    digits = form.code.replace(" ", "")
    if not counted or not await call.site.factor(challenge.factor).right(challenge, digits):
        await call.write(lambda tx: _note_failure(tx, call, person, challenge.factor))
        if not counted or challenge.left <= 1:
            return Done("/login", "code.burned")
        prompt = await call.site.factor(challenge.factor).prompt(challenge)
        if prompt.state in ("late", "stopped"):  # the page itself says what has become of the code
            return Done("/login/code")
        raise Invalid("code", "code.wrong", n=challenge.left - 1 if prompt.left is None else prompt.left)
    if challenge.means == CONFIRMS:
        confirmed = await call.write(lambda tx: _confirm(tx, call, challenge, keys))
        return Done(challenge.goal, "code.confirmed") if confirmed else Done("/login", "code.over")
    factors = [*challenge.means.split("|"), challenge.factor]
    token = await call.write(lambda tx: finish(tx, call, challenge, person, factors, keys))
    if token is None:
        return Done("/login", "code.over")
    return entered(call, token, challenge.goal)


@AREA.action("/login/again", permission=PUBLIC, on=code, early=True)
async def again(call: Call) -> Done:
    """Asks for another code, where the factor sends some."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor == FIRST:
        return Done("/login", "code.over")
    await call.site.factor(challenge.factor).begin(challenge)
    return Done("/login/code")


class Way(Input):
    """Another factor."""

    factor: str = Field(max_length=20, description="Which.")


@AREA.action("/login/other", permission=PUBLIC, on=code, early=True)
async def other(call: Call, form: Way) -> Done:
    """Asks for another factor of the same person; tries stay counted."""
    challenge = await half_done(call)
    if challenge is None or challenge.factor == FIRST:
        return Done("/login", "code.over")
    if form.factor in await other_ways(call, challenge):
        await call.write(lambda tx: challenges.turn(tx, challenge.id, form.factor))
        factor, turned = call.site.factor(form.factor), replace(challenge, factor=form.factor)
        if (await factor.prompt(turned)).state not in ("ask", "sent"):  # a code that is on its way is good still
            await factor.begin(turned)
    return Done("/login/code")


class Confirm(Input):
    """Where to go on."""

    to: str = Field(default="", max_length=2000, description="The page that asked for it.")


@AREA.action("/me/confirm", permission=SIGNED_IN, early=True)
async def confirm(call: Call, form: Confirm) -> Done:
    """Asks for the second factor once more in an open session: some rights demand that it was shown not long ago."""
    asked = await ask_factor(call, call.who, [CONFIRMS], form.to or "/me") if call.session is not None else None
    return asked or Done("/me/totp", "code.none")


@AREA.action("/logout", permission=SIGNED_IN, early=True)
async def leave(call: Call) -> Done:
    """Ends this session."""
    session, person = call.session, call.who

    await call.write(lambda tx: _leave(tx, session, person))
    call.response = lambda response: cookies.drop(response, cookies.SESSION)
    return Done("/login", "login.left")


# --- units of work ------------------------------------------------------------------------------------------------


def _known(connection: Connection, login: str, now: float) -> tuple[people.Person | None, passwords.Kept | None]:
    """Person and password of a login, where that person may sign in with it."""
    person = people.find(connection, login)
    if person is None or person.kind != "person" or person.shut_out(now) is not None:
        return None, None
    kept = passwords.kept(connection, person.id)
    return person, kept if kept is not None and kept.good(now) else None


def _note_failure(tx: Tx, call: Call, person: people.Person | None, factor: str = "password") -> None:
    """The audit's word of it. What was typed as the login is not kept: it may be a password."""
    after = {"address": call.address, "factor": factor}
    tx.audit("signin.failed", after=after, target=person.login if person else "", actor="visitor")


def _renew(tx: Tx, person: str, kept: passwords.Kept, fresh: str) -> None:
    """A hash with today's parameters, where nobody has changed the password meanwhile."""
    if passwords.kept(tx.connection, person) == kept:
        passwords.keep(tx, person, fresh, must_change=kept.must_change, expires_at=kept.expires_at)


def finish(
    tx: Tx,
    call: Call,
    challenge: challenges.Challenge,
    person: people.Person,
    factors: Sequence[str],
    keys: Sequence[throttle.Keyed],
) -> str | None:
    """The session's token; None where another request with the same code was first, or the person was shut out."""
    if not challenges.close(tx, challenge.id) or people.by_id(tx, person.id).shut_out(tx.now) is not None:
        return None
    throttle.succeed(tx, keys)
    return start(tx, call, person, factors)


def _confirm(tx: Tx, call: Call, challenge: challenges.Challenge, keys: Sequence[throttle.Keyed]) -> bool:
    """Notes in this session that the factor was shown now; not in another person's."""
    if call.session is None or call.who.id != challenge.person or not challenges.close(tx, challenge.id):
        return False
    throttle.succeed(tx, keys)
    sessions.add_factor(tx, call.session.id, challenge.factor)
    tx.audit("signin.confirmed", target=call.who.login, after={"factor": challenge.factor, "address": call.address})
    return True


def _leave(tx: Tx, session: sessions.Session | None, person: people.Person) -> None:
    sessions.end(tx, [session.id] if session else [], person.actor)
    tx.audit("signin.left", target=person.login)


# --- the first one ------------------------------------------------------------------------------------------------


async def _is_first(call: Call, form: Credentials) -> bool:
    if form.login.strip().lower() != first.LOGIN:
        return False
    return await call.read(lambda connection: first.right(connection, form.password, call.now))


async def _make_first(call: Call) -> Done:
    token, _ = await call.write(lambda tx: challenges.begin(tx, "", FIRST, means=FIRST, goal="/"))
    hold_step(call, token)
    return Done("/login/first")
