"""`/admin/otp`: one-time passwords through a Telegram bot, company by company."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import Connection, select

from flows.access import people
from flows.access.filtering import Protected
from flows.access.model import Object
from flows.access.tables import company as companies
from flows.otp import bindings, codes, settings, tables, texts
from flows.otp.reading import Reading
from flows.otp.rules import Numbers, phone_of
from flows.otp.settings import STAFF, Setting
from pipe.contract import Transaction
from pipe.errors import BadRequest
from pipe.store import notes
from web.pages.call import Call
from web.pages.forms import Input, Invalid
from web.pages.live import ends
from web.pages.permission import Permission
from web.pages.results import Done, Show
from web.pages.router import Area, Nav

AREA = Area("otp")
READ, EDIT, UNLOCK = "otp.read", "otp.edit", "otp.unlock"
SAMPLE = {"code": "482913", "minutes": 5, "tries": 3, "left": 2}


class BotState(BaseModel):
    """A bot of the configuration, as it does now."""

    name: str = Field(description="Its connection.")
    username: str = Field(description="What Telegram calls it; empty before it said so.")
    link: str = Field(description="Where it is found.")
    api: str = Field(description="Address of the Bot API.")
    token: str = Field(description="The reference to its token.")
    state: str = Field(description="`up`, `degraded`, `down`, `paused` or `unknown`.")
    reason: str = Field(description="Why, where it is not well.")
    receives: bool = Field(description="Whether it takes updates: without them nobody can bind a chat.")
    served: bool = Field(description="Whether the routes of one-time passwords know it: else nothing is sent.")


class Line(BaseModel):
    """One company of the list."""

    company: str = Field(description="Short name; `-` stands for staff of no company.")
    name: str = Field(description="What it is called.")
    enabled: bool = Field(description="Whether it uses one-time passwords.")
    bot: str = Field(description="The connection of its bot.")
    sent: int = Field(description="Codes of the last day.")
    right: int = Field(description="Of these, used.")
    failed: int = Field(description="Of these, not sent.")


class Overview(BaseModel):
    """The list."""

    lines: list[Line] = Field(description="Companies.")
    bots: list[BotState] = Field(description="Bots of the configuration.")
    after: int = Field(default=0, exclude=True)
    """number of the last event that this page knows of"""

    def users(self, bot: str) -> list[Line]:
        """The companies that use a bot."""
        return [line for line in self.lines if line.enabled and line.bot == bot]


class Text(BaseModel):
    """One template in one language."""

    name: str = Field(description="Which.")
    language: str = Field(description="`uk` or `en`.")
    text: str = Field(description="As it is written.")
    variables: list[str] = Field(description="What it may say.")
    preview: str = Field(description="What a person would read.")


class Page(BaseModel):
    """One company's settings."""

    company: str = Field(description="Short name.")
    name: str = Field(description="What it is called.")
    enabled: bool = Field(description="Whether it uses one-time passwords.")
    bot: str = Field(description="The connection of its bot.")
    bots: list[BotState] = Field(description="Bots of the configuration.")
    numbers: dict[str, int] = Field(description="All numbers, as they are in force.")
    bounds: dict[str, tuple[int, int]] = Field(description="The least and the most that each may be.")
    texts: list[Text] = Field(description="What the bot says.")
    mine: bool = Field(description="Whether the one who asks has a chat with this bot, for a test.")
    after: int = Field(default=0, exclude=True)
    """number of the last event that this page knows of"""

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What can be chosen as its bot."""
        return [("", "–"), *((bot.name, bot.name) for bot in self.bots)]

    @property
    def chosen(self) -> BotState | None:
        """The company's bot."""
        return next((bot for bot in self.bots if bot.name == self.bot), None)


class Change(Input):
    """The settings anew. Numbers and texts that are left out are as usual."""

    enabled: bool = Field(description="Whether the company uses one-time passwords.")
    bot: str = Field(default="", max_length=100, description="The connection of its bot.")
    numbers: dict[str, int] = Field(default={}, description="Numbers that differ from the usual ones.")
    texts: dict[str, dict[str, str]] = Field(default={}, description="Templates written anew, by name and language.")


class Which(Input):
    """Whose lock is taken away."""

    login: str = Field(default="", max_length=128, description="Somebody of the staff.")
    phone: str = Field(default="", max_length=30, description="A telephone number.")


@AREA.page("/admin/otp", "admin/otp.html", permission=READ, api="GET /otp", nav=Nav("nav.manage", "otp.nav", "key", 40))
async def overview(call: Call) -> Overview:
    """Which companies use one-time passwords, and how their bots do."""
    seen = call.rows(READ, Protected(company=companies.c.id))
    staff = call.may(READ, Object())

    def read(connection: Connection) -> Overview:
        rows = connection.execute(select(companies).where(companies.c.state == "active", seen)).all()
        english = call.words.language == "en"
        named = [(row.id, (row.name_en or row.name_uk) if english else row.name_uk) for row in rows]
        named.sort(key=lambda each: each[1])
        named = [(STAFF, call.words("otp.staff")), *named] if staff else named
        bots, (_, after) = _bots(connection, call), ends(connection)
        return Overview(lines=_lines(connection, call, named), bots=bots, after=after)

    return await call.read(read)


@AREA.page("/admin/otp/{company}", "admin/otp_company.html", permission=READ, api="GET /otp/{company}")
async def one(call: Call) -> Page:
    """One company's settings, what its bot says, and how it does."""
    return await _page(call, READ)


@AREA.action("/admin/otp/{company}", permission=EDIT, on=one, api="POST /otp/{company}")
async def change(call: Call, form: Change) -> Done:
    """Sets one-time passwords of a company anew."""
    call.require(EDIT, _thing(call))
    _fits(call, form.enabled, form.bot)
    try:
        Numbers.model_validate(form.numbers)
        texts.checked(form.texts)
    except ValidationError as error:
        raise Invalid("", "otp.wrong_number", name=".".join(str(part) for part in error.errors()[0]["loc"])) from None
    except BadRequest as error:
        raise Invalid("", "form.error.refused", why=call.words.refusal(error)) from None
    company = call.params["company"]

    def keep(tx: Transaction) -> None:
        settings.keep(tx, company, enabled=form.enabled, bot=form.bot, numbers=form.numbers, words=form.texts)

    await call.site.act(keep, call.actor)
    return Done(f"/admin/otp/{company}", "otp.saved")


class Fields(BaseModel):
    """The same as a form of the page sends it: each number and each text is a field."""

    model_config = {"extra": "allow", "str_strip_whitespace": True}

    enabled: bool = Field(default=False, description="Whether the company uses one-time passwords.")
    bot: str = Field(default="", description="The connection of its bot.")
    act: str = Field(default="save", description="`save`, or `look` to only see what the texts become.")


@AREA.action("/admin/otp/{company}/form", permission=EDIT, on=one)
async def save(call: Call, form: Fields) -> Done | Show:
    """Saves the page's form, or shows what its texts would become."""
    given: dict[str, Any] = form.model_extra or {}
    written: dict[str, dict[str, str]] = {}
    for name in texts.VARIABLES:
        for language in texts.LANGUAGES:
            if (text := str(given.get(f"{name}_{language}", ""))).strip():
                written.setdefault(name, {})[language] = text
    if form.act == "look":
        try:
            return Show("admin/otp_company.html", await _page(call, EDIT, texts.checked(written)))
        except BadRequest as error:
            raise Invalid("", "form.error.refused", why=call.words.refusal(error)) from None
    numbers = {}
    for name in Numbers.model_fields:
        text = str(given.get(name, "")).strip()
        if text and not text.isdecimal():
            raise Invalid("", "otp.wrong_number", name=call.words(f"otp.number.{name}"))
        if text:
            numbers[name] = int(text)
    return await change.handler(  # type: ignore[no-any-return]
        call, Change(enabled=form.enabled, bot=form.bot, numbers=numbers, texts=written)
    )


@AREA.action("/admin/otp/{company}/test", permission=EDIT, on=one, api="POST /otp/{company}/test")
async def test(call: Call) -> Done:
    """Sends a word to the chat of whoever asks, through this company's bot."""
    call.require(EDIT, _thing(call))
    company, me, language = call.params["company"], call.who.id, call.words.language

    def send(tx: Transaction) -> bool:
        setting = settings.of(tx, company)
        found = bindings.find(tx, bindings.person(me), setting.bot)
        if found is None:
            return False
        codes.say(tx, setting.bot, found.chat, "test", language, company=setting.name(language))
        tx.audit("otp.tested", target=company)
        return True

    if not await call.site.act(send, call.actor):
        raise Invalid("", "otp.test_bind")
    return Done(f"/admin/otp/{company}", "otp.tested")


@AREA.action("/admin/otp/{company}/unlock", permission=UNLOCK, on=one, api="POST /otp/{company}/unlock")
async def unlock(call: Call, form: Which) -> Done:
    """Takes a lock away: what was typed wrongly so far counts no more."""
    call.require(UNLOCK, _thing(call))

    found = await call.read(lambda connection: people.find(connection, form.login)) if form.login else None
    if found is not None:
        call.require(UNLOCK, Object(company=found.company))

    def lift(tx: Transaction) -> bool:
        if form.login:
            subject = bindings.person(found.id) if found is not None else None
        else:
            number = phone_of(form.phone)
            subject = bindings.phone(tx, number) if number is not None else None
        if subject is not None:
            codes.lift(tx, subject)
        return subject is not None

    if not await call.site.act(lift, call.actor):
        raise Invalid("login" if form.login else "phone", "otp.nobody")
    return Done(f"/admin/otp/{call.params['company']}", "otp.unlocked")


# --- how it is put together -------------------------------------------------------------------------------------------


def _thing(call: Call) -> Object:
    company = call.params["company"]
    return Object() if company == STAFF else Object(company=company)


def _fits(call: Call, enabled: bool, bot: str) -> None:
    found = next((each for each in call.site.bots() if each.name == bot), None)
    if enabled and found is None:
        raise Invalid("bot", "otp.no_bot")
    if enabled and found is not None and not found.receives:
        raise Invalid("bot", "otp.deaf_bot")
    if enabled and found is not None and not found.served:
        raise Invalid("bot", "otp.unserved_bot", bot=bot)


async def _page(call: Call, permission: Permission, written: dict[str, dict[str, str]] | None = None) -> Page:
    call.require(permission, _thing(call))
    company, me = call.params["company"], call.who.id

    def read(connection: Connection) -> Page:
        reading: Any = Reading(connection, call.site.store.vault, call.now)
        setting = settings.of(reading, company)
        has = bool(setting.bot) and bindings.has(connection, bindings.person(me), setting.bot)
        _, after = ends(connection)
        return _made(call, setting, _bots(connection, call), has, written).model_copy(update={"after": after})

    return await call.read(read)


def _made(
    call: Call, setting: Setting, bots: list[BotState], mine: bool, written: dict[str, dict[str, str]] | None
) -> Page:
    language = call.words.language
    shown = Setting(setting.company, texts=written, names=setting.names) if written is not None else setting
    name = call.words("otp.staff") if setting.company == STAFF else setting.name(language)
    return Page(
        company=setting.company,
        name=name,
        enabled=setting.enabled,
        bot=setting.bot or (bots[0].name if bots else ""),
        bots=bots,
        numbers=setting.numbers.model_dump(),
        bounds={name: _bounds(name) for name in Numbers.model_fields},
        texts=[_text(shown, name, each) for name in texts.VARIABLES for each in texts.LANGUAGES],
        mine=mine,
    )


def _text(setting: Setting, name: str, language: str) -> Text:
    text = setting.template(name, language)
    sample = {**SAMPLE, "purpose": texts.purpose("sign-in", language), "company": setting.name(language)}
    variables = list(texts.VARIABLES[name])
    return Text(name=name, language=language, text=text, variables=variables, preview=texts.filled(text, **sample))


def _bounds(name: str) -> tuple[int, int]:
    least, most = 0, 0
    for rule in Numbers.model_fields[name].metadata:
        least, most = getattr(rule, "ge", least), getattr(rule, "le", most)
    return int(least), int(most)


def _bots(connection: Connection, call: Call) -> list[BotState]:
    found = []
    for bot in call.site.bots():
        known = notes.read(connection, bot.name, "bot") or {}
        found.append(
            BotState(
                name=bot.name,
                username=known.get("username", ""),
                link=known.get("link", ""),
                api=bot.api,
                token=bot.token,
                state=bot.state,
                reason=bot.reason,
                receives=bot.receives,
                served=bot.served,
            )
        )
    return found


def _lines(connection: Connection, call: Call, named: list[tuple[str, str]]) -> list[Line]:
    c = tables.challenge.c
    day: dict[str, list[str]] = {}
    for row in connection.execute(select(c.company, c.state).where(c.created_at > call.now - 86400)):
        day.setdefault(row.company, []).append(row.state)
    kept: dict[str, Any] = {row.company: row for row in connection.execute(select(tables.setting))}
    lines = []
    for company, name in named:
        has, states = kept.get(company), day.get(company, [])
        lines.append(
            Line(
                company=company,
                name=name,
                enabled=bool(has and has.enabled),
                bot=has.bot if has else "",
                sent=len(states),
                right=states.count("right"),
                failed=states.count("failed"),
            )
        )
    return lines
