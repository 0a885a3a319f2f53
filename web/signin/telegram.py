"""`/me/telegram`: one's own chat with the bot, to which codes for signing in go."""

from __future__ import annotations

from typing import Any

import segno
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from flows.otp import bindings, settings
from flows.otp.reading import Reading
from pipe.contract import Transaction
from pipe.store import notes
from web.pages.call import Call
from web.pages.permission import SIGNED_IN
from web.pages.results import Done, Show
from web.pages.router import Area
from web.signin.account import Proof, has_password, prove
from web.signin.otp import company_of

AREA = Area("telegram")


class Chat(BaseModel):
    """What the page shows."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    enabled: bool
    password: bool = True
    """whether the person has one to be asked for"""
    must: bool = False
    """whether there has to be a second factor before anything else"""
    bot: str = ""
    ready: bool = False
    """whether the gateway knows the bot's name, so that there can be a link"""
    bound_at: float | None = None
    blocked: bool = False
    link: str | None = None
    """shown once; good for ten minutes"""
    picture: Markup | None = None


@AREA.page("/me/telegram", "me/telegram.html", permission=SIGNED_IN, early=True)
async def chat(call: Call) -> Chat:
    """Where codes for signing in go."""
    return await call.read(lambda connection: _shown(connection, call))


@AREA.action("/me/telegram/begin", permission=SIGNED_IN, on=chat, early=True)
async def begin(call: Call, form: Proof) -> Done | Show:
    """Makes a link that binds the chat of whoever opens it first."""
    await prove(call, form.current)
    me = call.who.id
    seen = await call.read(lambda connection: _shown(connection, call))
    company = await call.read(lambda connection: company_of(connection, me))
    if not seen.enabled or not seen.ready:
        return Done("/me/telegram")

    def offer(tx: Transaction) -> str:
        return bindings.offer(tx, settings.used(tx, company).bot, bindings.person(me), company)

    word = await call.site.act(offer, call.actor)
    bot = await call.read(lambda connection: _bot(connection, settings.of(_reading(connection, call), company).bot))
    link = f"{bot['link']}?start={word}"
    drawn = segno.make(link, error="m").svg_inline(omitsize=True, border=2, svgclass="qr")
    made = seen.model_copy(update={"link": link, "picture": Markup(drawn)})  # noqa: S704 — segno's own SVG
    return Show("me/telegram.html", made)


@AREA.action("/me/telegram/remove", permission=SIGNED_IN, on=chat)
async def remove(call: Call, form: Proof) -> Done:
    """Codes go nowhere from now on; signing in asks for the password alone, or for the app."""
    await prove(call, form.current)
    me = call.who.id

    def unit(tx: Transaction) -> None:
        bot = settings.of(tx, company_of(tx, me)).bot
        if bindings.unbind(tx, bindings.person(me), bot):
            tx.audit("otp.unbound", after={"address": call.address}, target=call.who.login)

    await call.site.act(unit, call.actor)
    return Done("/me", "telegram.removed")


def _shown(connection: Connection, call: Call) -> Chat:
    reading = _reading(connection, call)
    setting = settings.of(reading, company_of(reading, call.who.id))
    if not setting.enabled:
        return Chat(enabled=False)
    bot = _bot(connection, setting.bot)
    found = bindings.find(reading, bindings.person(call.who.id), setting.bot)
    return Chat(
        enabled=True,
        password=has_password(connection, call),
        must=call.must == "totp",
        bot=f"@{bot['username']}" if bot else setting.bot,
        ready=bool(bot),
        bound_at=found.bound_at if found else None,
        blocked=found is not None and found.blocked_at is not None,
    )


def _reading(connection: Connection, call: Call) -> Any:
    return Reading(connection, call.site.store.vault, call.now)


def _bot(connection: Connection, name: str) -> dict[str, str]:
    """What the bot is called, as it told the gateway; empty before it did."""
    return notes.read(connection, name, "bot") or {}
