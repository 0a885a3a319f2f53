"""`/me`: one's own account: sessions, password, second factor."""

from __future__ import annotations

import hmac

import segno
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from flows.access.tables import session
from flows.signin import factors, passwords, sessions, throttle, totp
from pipe.errors import NotFound, RateLimited
from pipe.store.transaction import Tx
from web.pages.call import Call
from web.pages.forms import Input, Invalid
from web.pages.permission import GATEWAY, SIGNED_IN
from web.pages.results import Done, Show
from web.pages.router import Area
from web.signin.beginning import check_new

AREA = Area("me")
FRESH_S = 600.0
"""a sign-in of a provider stands for a password so long"""


class Open(BaseModel):
    """One open session, as its owner sees it."""

    id: str = Field(description="Names it; opens nothing.")
    address: str = Field(description="Where it is used from.")
    agent: str = Field(description="What the browser says it is.")
    created_at: float = Field(description="When it began, seconds since 1970.")
    seen_at: float = Field(description="When it was used last.")
    factors: list[str] = Field(description="How the person showed who they are.")
    here: bool = Field(description="Whether it is the one that asks.")


class Account(BaseModel):
    """One's own account."""

    name: str = Field(description="Name.")
    login: str = Field(description="Login.")
    email: str | None = Field(description="Mail address.")
    has_password: bool = Field(description="Whether there is a password.")
    has_totp: bool = Field(description="Whether there is an authenticator app.")
    has_telegram: bool = Field(description="Whether codes come to a Telegram chat.")
    may_subscribe: bool = Field(description="Whether one may hear of alerts.")
    sessions: list[Open] = Field(description="Sessions that are open.")


@AREA.page("/me", "me/account.html", permission=SIGNED_IN, api="GET /me", early=True)
async def account(call: Call) -> Account:
    """Who one is to the gateway, and where one is signed in."""
    here = call.session.id if call.session else ""
    return await call.read(lambda connection: _account(connection, call, here))


@AREA.action("/me/sessions/{id}/end", permission=SIGNED_IN, on=account, api="POST /me/sessions/{id}/end", early=True)
async def end_mine(call: Call) -> Done:
    """Ends one of one's own sessions."""
    id_of, mine = call.params["id"], call.who
    if not await call.write(lambda tx: _end_mine(tx, id_of, mine.id, mine.login, mine.actor)):
        raise NotFound("there is no such session")
    return Done("/me", "session.ended")


# --- the password -------------------------------------------------------------------------------------------------


class NewPassword(Input):
    """A new password."""

    current: str = Field(max_length=1000, description="The password so far.")
    password: str = Field(max_length=1000, description="The new one.")
    repeated: str = Field(max_length=1000, description="The new one again.")


class PasswordPage(BaseModel):
    """What the page of the password shows."""

    shortest: int
    must: bool


@AREA.page("/me/password", "me/password.html", permission=SIGNED_IN, early=True)
async def password(call: Call) -> PasswordPage:
    """The form for a new password."""
    return PasswordPage(shortest=passwords.SHORTEST, must=call.must == "password")


@AREA.action("/me/password", permission=SIGNED_IN, on=password, early=True)
async def change_password(call: Call, form: NewPassword) -> Done:
    """Changes the password; other sessions end."""
    await confirm(call, form.current)
    check_new(form.password, form.repeated, call.who.login, call.who.name)
    if form.password == form.current:
        raise Invalid("password", "password.same")
    hashed = await call.site.passwords.hash(form.password)
    here = call.session.id if call.session else None
    await call.write(lambda tx: _change(tx, call, hashed, here))
    return Done("/me", "password.changed")


async def confirm(call: Call, text: str) -> None:
    """Raises Invalid where the text is not the person's password; tries are counted as at the sign-in."""
    keys = throttle.code_key(call.site.store.vault.hash, f"password:{call.who.id}")
    if wait := await call.write(lambda tx: throttle.begin(tx, keys)):
        raise RateLimited("too many tries with a wrong password", retry_after=wait)
    kept = await call.read(lambda connection: passwords.kept(connection, call.who.id))
    good = kept is not None and kept.good(call.now)
    if not await call.site.passwords.right(kept.hash if kept else None, text) or not good:
        raise Invalid("current", "password.wrong")
    await call.write(lambda tx: throttle.succeed(tx, keys))


def has_password(connection: Connection, call: Call) -> bool:
    """Whether the one who asks has a password that is good now; who comes by single sign-on may have none.

    A one-time password that waits to be used is none to whoever has come by single sign-on: it proves nothing of them.
    """
    kept = passwords.kept(connection, call.who.id)
    by_password = call.session is not None and "password" in call.session.factors
    return kept is not None and kept.good(call.now) and (by_password or not kept.must_change)


async def prove(call: Call, text: str) -> None:
    """Before a factor is added, replaced or taken away: an open session alone may be somebody else's by now.

    Asks for the password, or, of whoever has none, for a sign-in not long ago. Raises Invalid.
    """
    if await call.read(lambda connection: has_password(connection, call)):
        await confirm(call, text)
    elif call.session is None or call.now - call.session.created_at > FRESH_S:
        raise Invalid("", "proof.sign_in_again")


# --- the authenticator app ----------------------------------------------------------------------------------------


class App(BaseModel):
    """What the page of the app shows."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    confirmed: bool
    password: bool
    """whether the person has one to be asked for"""
    must: bool = False
    picture: Markup | None = None
    secret: str = ""


class Confirmed(Input):
    """The first code of a new app."""

    code: str = Field(pattern=r"^[\d ]{6,8}$", description="Six digits.")
    app: str = Field(max_length=100, description="The app's secret, as the page had it.")


class Proof(Input):
    """The password, before a factor is changed."""

    current: str = Field(default="", max_length=1000, description="The password.")


@AREA.page("/me/totp", "me/totp.html", permission=SIGNED_IN, early=True)
async def app(call: Call) -> App:
    """Setting up an authenticator app."""
    secret = await _begun(call, call.form_of("confirm_app").values.get("app", ""))
    return await _app(call, secret)


@AREA.action("/me/totp/begin", permission=SIGNED_IN, on=app, early=True)
async def begin_app(call: Call, form: Proof) -> Done | Show:
    """Makes a secret for an app, to be confirmed by its first code. It is shown to whoever proved who they are."""
    await prove(call, form.current)
    me, vault = call.who.id, call.site.store.vault
    secret = await call.write(lambda tx: None if totp.has(tx.connection, me) else totp.set_up(tx, vault, me))
    return Show("me/totp.html", await _app(call, secret))


@AREA.action("/me/totp", permission=SIGNED_IN, on=app, early=True)
async def confirm_app(call: Call, form: Confirmed) -> Done:
    """Takes the app into use, once it has shown a right code."""
    keys = throttle.code_key(call.site.store.vault.hash, f"app:{call.who.id}")
    if wait := await call.write(lambda tx: throttle.begin(tx, keys)):
        raise RateLimited("too many wrong codes", retry_after=wait)
    if await _begun(call, form.app) is None:
        return Done("/me/totp", "totp.over")
    if not await call.write(lambda tx: _confirm_app(tx, call, form.code.replace(" ", ""))):
        raise Invalid("code", "totp.wrong")
    await call.write(lambda tx: throttle.succeed(tx, keys))
    return Done("/me", "totp.added")


async def _begun(call: Call, spelled: str) -> bytes | None:
    """The secret that waits for its first code, for whoever has it already: a session alone does not show it."""
    vault, me = call.site.store.vault, call.who.id
    secret = await call.read(lambda connection: totp.secret_of(connection, vault, me, confirmed=False))
    known = secret is not None and hmac.compare_digest(totp.spelled(secret).encode(), spelled.encode())
    return secret if known else None


async def _app(call: Call, secret: bytes | None) -> App:
    confirmed, password = await call.read(lambda c: (totp.has(c, call.who.id), has_password(c, call)))
    seen = App(confirmed=confirmed, password=password, must=call.must == "totp")
    if secret is None:
        return seen
    address = totp.address(secret, call.who.login)
    drawn = segno.make(address, error="m").svg_inline(omitsize=True, border=2, svgclass="qr")
    shown = {"picture": Markup(drawn), "secret": totp.spelled(secret)}  # noqa: S704 — segno's own SVG
    return seen.model_copy(update=shown)


@AREA.action("/me/totp/remove", permission=SIGNED_IN, on=app)
async def remove_app(call: Call, form: Proof) -> Done:
    """Takes the app out of use."""
    await prove(call, form.current)
    await call.write(lambda tx: _remove_app(tx, call))
    return Done("/me", "totp.removed")


# --- units of work and queries ------------------------------------------------------------------------------------


def _account(connection: Connection, call: Call, here: str) -> Account:
    me = call.who
    rows = connection.execute(
        select(session)
        .where(session.c.person == me.id, session.c.ended_at.is_(None))
        .order_by(session.c.seen_at.desc(), session.c.id)
    )
    good = [
        found
        for row in rows
        if (found := sessions.by_id(connection, row.id, call.now, call.site.settings().idle)) is not None
    ]
    second = factors.of(connection, me.id)
    return Account(
        name=me.name,
        login=me.login,
        email=me.email,
        has_password=has_password(connection, call),
        has_totp="totp" in second,
        has_telegram="otp" in second,
        may_subscribe=call.may("alert.read", GATEWAY),
        sessions=[
            Open(
                id=each.id,
                address=each.address,
                agent=each.agent,
                created_at=each.created_at,
                seen_at=each.seen_at,
                factors=sorted(each.factors),
                here=each.id == here,
            )
            for each in good
        ],
    )


def _end_mine(tx: Tx, id_of: str, person: str, login: str, actor: str) -> bool:
    query = select(session.c.id).where(session.c.id == id_of, session.c.person == person)
    if tx.execute(query).first() is None or not sessions.end(tx, [id_of], actor):
        return False
    tx.audit("session.ended", target=login, after={"session": id_of[:12]})
    return True


def _change(tx: Tx, call: Call, hashed: str, here: str | None) -> None:
    passwords.keep(tx, call.who.id, hashed)
    ended = sessions.end_all_of(tx, call.who.id, call.actor, but=here)
    tx.audit("password.changed", target=call.who.login, after={"sessions_ended": ended, "address": call.address})


def _confirm_app(tx: Tx, call: Call, code: str) -> bool:
    if not totp.use(tx, call.site.store.vault, call.who.id, code, confirmed=False):
        return False
    if call.session is not None:
        sessions.add_factor(tx, call.session.id, "totp")
    tx.audit("totp.added", target=call.who.login, after={"address": call.address})
    return True


def _remove_app(tx: Tx, call: Call) -> None:
    if totp.forget(tx, call.who.id):
        tx.audit("totp.removed", target=call.who.login, after={"address": call.address})
