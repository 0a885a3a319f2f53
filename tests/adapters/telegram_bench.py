"""A bot, its people, and the adapter that leads to them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from adapters.telegram import Telegram
from adapters.telegram.config import TelegramConfig, TelegramSubscription, TelegramTarget
from partners.telegram import TelegramPartner
from partners.telegram.chats import Person
from pipe.clock import SystemClock
from pipe.contract import Services
from pipe.testing import FakeServices

TOKEN = "7000000001:" + "demo-token-of-nobody-in-particular-"


class Bench:
    """One stand-in, and adapters made for it."""

    options = TelegramSubscription()
    target = TelegramTarget(call="sendMessage")

    def __init__(self, folder: Path, partner: TelegramPartner, people: int = 10) -> None:
        self.folder, self.partner = folder, partner
        self.services: Services = FakeServices(SystemClock())
        for number in range(1, people):
            partner.bot.chats.add(f"Людина {number}", f"+3806700000{number:02}")
        for person in self.people:
            person.started = True
        self._sent = 0

    @property
    def people(self) -> list[Person]:
        """Whoever has a phone."""
        return list(self.partner.bot.chats.people.values())

    @property
    def first(self) -> Person:
        """One of them."""
        return self.people[0]

    def make(self, **keys: Any) -> Telegram:
        """A new adapter; not opened."""
        keys = {"updates": "polling", **keys} if "webhook" not in keys else keys
        return Telegram("ukc", config(self.folder, api=self.partner.address, **keys), self.services)

    # --- what the suites ask for

    async def offer(self, body: bytes) -> None:
        """Somebody writes; bytes as Base64, because people write text."""
        self.partner.bot.write(self.first, base64.b64encode(body).decode())

    def bytes_of(self, body: bytes) -> bytes:
        """What was written, out of the update."""
        return base64.b64decode(orjson.loads(body)["message"]["text"])

    async def told(self, body: bytes) -> bool:
        """Whether the update was confirmed."""
        text = base64.b64encode(body).decode()
        wrote = any(line.text == text for line in self.first.lines)
        waits = any(update["message"]["text"] == text for update in self.partner.bot.updates.waiting)
        return wrote and not waits

    def body_of(self, body: bytes) -> dict[str, Any]:
        """A message for the next of the people: one of them takes only so many in a second."""
        self._sent += 1
        person = self.people[self._sent % len(self.people)]
        return {"chat_id": person.id, "text": base64.b64encode(body).decode()}

    async def received(self) -> list[bytes]:
        """What they got."""
        return [base64.b64decode(line.text) for person in self.people for line in person.lines if not line.mine]

    @property
    def answer(self) -> dict[str, Any]:
        """What sendMessage returned for the only message."""
        bot = self.partner.bot
        ((person, line),) = [(p, line) for p in self.people for line in p.lines if not line.mine]
        return {
            "message_id": line.id, "from": bot.me, "chat": person.chat, "date": line.at, "text": line.text,
        }  # fmt: skip

    async def leave(self) -> None:
        """See AdapterPeer."""
        await self.partner.close()


async def true(question: Callable[[], object]) -> None:
    """Returns once the answer is true; fails after a while."""
    async with asyncio.timeout(40):
        while True:
            if question():
                return
            await asyncio.sleep(0.01)


def config(folder: Path, **keys: Any) -> TelegramConfig:
    """A connection whose token lies in a file."""
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    return TelegramConfig.model_validate({"type": "telegram", "token": f"${{file:{folder / 'token'}}}", **keys})


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    """The stand-in, running."""
    theirs = folder / "stand-in"
    theirs.mkdir()
    partner = TelegramPartner("ukc", config(theirs), theirs)
    await partner.start()
    try:
        yield Bench(folder, partner)
    finally:
        await partner.close()
