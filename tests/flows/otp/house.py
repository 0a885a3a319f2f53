"""A gateway, its Telegram, and people at both ends: pages are asked over HTTP, phones are those of the stand-in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from flows.access import organisation
from flows.access.changes import Actor
from flows.otp import bindings, codes, settings, tables
from flows.otp.settings import STAFF
from flows.signin import passwords
from partners.telegram import TelegramPartner
from partners.telegram.chats import Person
from pipe.store.schema import audit
from tests.adapters.telegram_bench import TOKEN, config
from tests.pipe.running import running
from tests.web.pages.site import PASSWORD, QUICK, Pages, Visitor

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """
version: 1
include: [flows/otp/routes.yaml]
connections:
  partners: {{type: http_server, auth: none}}
  otp-bot:
    type: telegram
    token: "${{file:token}}"
    api: "{api}"
    links: "{api}/t.me"
    updates: polling
    rate: 30/s
    reconnect: {{first: 100ms}}
  box: {{type: file_folder, path: box}}
routes:
  pensions:
    from: {{connection: partners, path: "/companies/{{company}}/pension", methods: [POST]}}
    reply: sync
    steps: [{{decode: json}}, {{flow: otp.require}}]
  copies: {{from: {{connection: box, get: "*.in"}}, to: {{connection: box, put: "out/${{message.id}}"}}}}
"""
COMPANY, OTHER = "pensions", "births"
SESSION = "a-browser-of-its-own-01"
CODE = re.compile(r"\b\d{6,10}\b")


@dataclass
class House(Pages):
    """The gateway, its Telegram, and whoever has a phone."""

    telegram: TelegramPartner
    client: aiohttp.ClientSession
    folder: Path

    async def person_of(self, login: str, *permissions: str) -> str:
        """Somebody of the staff."""
        return await super().person(login, *permissions)

    @property
    def person(self) -> Person:  # type: ignore[override]
        """Somebody with a phone."""
        return next(iter(self.telegram.bot.chats.people.values()))

    async def ask(self, path: str, **body: Any) -> Any:
        """What an outside system is answered."""
        async with self.client.post(f"{self.address}/pipe/otp/{path}", json=body) as answer:
            return await answer.json()

    async def said(self, what: Callable[[str], Any], who: Person | None = None, *, after: int = 0) -> str:
        """What the bot has written to somebody, once there is such a message."""
        person = who or self.person
        async with asyncio.timeout(40):
            while True:
                for line in person.lines:
                    if not line.mine and line.id > after and what(line.text):
                        return line.text
                await asyncio.sleep(0.01)

    async def code(self, who: Person | None = None, *, after: int = 0) -> str:
        """The newest code that somebody got."""
        text = await self.said(lambda text: CODE.search(text) and not text.startswith("☎"), who, after=after)
        found = CODE.search(text)
        assert found is not None
        return found[0]

    async def share_number(self, who: Person | None = None) -> None:
        """START, then the own number: codes of citizens come here."""
        person = who or self.person
        self.telegram.bot.start(person)
        await self.said(lambda text: "номер" in text, person)
        self.telegram.bot.contact(person)
        await self.said(lambda text: "Готово" in text, person)

    async def bind(self, visitor: Visitor, who: Person | None = None) -> None:
        """Binds the chat of somebody who is signed in."""
        await visitor.get("/me/telegram")
        page = await visitor.post("/me/telegram/begin", current=PASSWORD)
        word = re.search(r"\?start=([A-Za-z0-9_-]+)", page.text)
        assert word is not None, page.text[:3000]
        person = who or self.person
        self.telegram.bot.start(person, word[1])
        await self.said(lambda text: "Готово" in text, person)

    async def unlocked(self) -> None:
        """Everybody of the staff may ask for another code at once."""
        people = list(self.gateway.staff.access.snapshot.person)

        def lift(tx: Any) -> None:
            for person in people:
                codes.lift(tx, bindings.person(person))

        await self.gateway.engine.act(lift, "console")

    async def set(self, company: str, words: Any = None, **numbers: int) -> None:
        """A company uses one-time passwords, with these numbers."""

        def keep(tx: Any) -> None:
            settings.keep(tx, company, enabled=True, bot="otp-bot", numbers=numbers, words=words or {})

        await self.gateway.engine.act(keep, "console")

    async def state(self, challenge: str | None = None) -> list[Any]:
        """The rows of challenges, newest first."""
        c = tables.challenge
        query = c.select().order_by(c.c.created_at.desc())
        query = query.where(c.c.id == challenge) if challenge else query
        return await self.gateway.store.read(lambda connection: list(connection.execute(query)))

    async def until(self, state: str, why: str = "") -> Any:
        """The newest challenge, once it is in this state."""
        async with asyncio.timeout(40):
            while True:
                rows = await self.state()
                if rows and (rows[0].state, rows[0].why) == (state, why):
                    return rows[0]
                await asyncio.sleep(0.01)

    async def audited(self, prefix: str = "otp.") -> list[str]:
        """Events of the audit, in order."""
        query = audit.select().order_by(audit.c.seq)
        rows = await self.gateway.store.read(lambda connection: connection.execute(query).all())
        return [row.event for row in rows if row.event.startswith(prefix)]


@asynccontextmanager
async def house(folder: Path, *, ready: bool = True, more: str = "", routes: str = "") -> AsyncIterator[House]:
    """Everything up; two companies, and staff, use one-time passwords where they are to be `ready`.

    `more` are further lines of `connections:`, `routes` of `routes:`.
    """
    async with AsyncExitStack() as stack:
        theirs = folder / "telegram"
        theirs.mkdir(exist_ok=True)
        telegram = TelegramPartner("otp-bot", config(theirs), theirs)
        stack.push_async_callback(telegram.close)
        await telegram.start()
        made = await stack.enter_async_context(gateway(folder, telegram, more, routes))
        if ready:
            await set_up(made)
        yield made


@asynccontextmanager
async def gateway(folder: Path, telegram: TelegramPartner, more: str = "", routes: str = "") -> AsyncIterator[House]:
    """The gateway of a folder, beside a Telegram that goes on."""
    (folder / "box").mkdir(exist_ok=True)
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    written = CONFIG.format(api=telegram.address).replace("flows/otp/routes.yaml", "routes.yaml")
    written = written.replace("routes:\n", more + "routes:\n", 1) + routes
    (folder / "routes.yaml").write_text((ROOT / "flows/otp/routes.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "c.yaml").write_text(written, encoding="utf-8")
    async with running(folder / "c.yaml") as made, aiohttp.ClientSession() as client:
        made.staff.site.passwords = passwords.Passwords(QUICK)
        yield House(made, telegram, client, folder)


async def set_up(made: House) -> None:
    """The companies."""
    by = Actor("console")
    for company in (COMPANY, OTHER):
        names = {"uk": f"Компанія {company}", "en": f"Company {company}"}
        add = partial(organisation.add_company, by=by, id=company, section="2.1", names=names)
        await made.gateway.staff.access.change(by, add)
        await made.set(company)
    await made.set(STAFF)
