"""The adapter: one bot, its updates in, its methods out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Literal

from adapters.http_served import listener_rungs, served_certificates
from adapters.telegram.composing import composed
from adapters.telegram.config import TelegramConfig, TelegramSubscription, TelegramTarget, reviewed
from adapters.telegram.receiving import Receiver, overlap
from adapters.telegram.way import Way
from pipe import blocking
from pipe.contract import (
    Blob,
    Certificate,
    ConnectionConfig,
    Doors,
    Health,
    Options,
    Outgoing,
    Receipt,
    Rung,
    Services,
)
from pipe.errors import PipeError, ReplyInvalid

LATE_S = 300.0
"""how long a webhook that Telegram could not deliver to makes the connection degraded"""


class Telegram:
    """Source and caller."""

    Config: ClassVar[type[ConnectionConfig]] = TelegramConfig
    Subscription: ClassVar[type[Options]] = TelegramSubscription
    Target: ClassVar[type[Options]] = TelegramTarget
    takes: ClassVar[Literal["bytes", "values"]] = "values"
    hands: ClassVar[str] = "values"
    answers: ClassVar[Literal[True]] = True
    refusable: ClassVar[bool] = False
    """an update that is refused would hold up its chat for a day: the door keeps it as a dead letter"""

    def __init__(self, name: str, config: TelegramConfig, services: Services) -> None:
        self.name, self.config, self._services = name, config, services
        self._timeout = config.timeout or services.default_timeout
        self._way = Way(name, config)
        self._receiver = Receiver(name, config, services, self._way, self._timeout)
        self._closed = True

    # --- what the configuration asks

    def review(self, config: TelegramConfig, options: Any) -> list[str]:
        """Uses that the bot is not made for."""
        return reviewed(config, options)

    def collides(self, one: TelegramSubscription, other: TelegramSubscription) -> bool:
        """A kind of update belongs to one route."""
        return overlap(one.updates, other.updates)

    def guarantee(self, options: TelegramSubscription) -> Literal["at-least-once"]:
        """Telegram keeps for a day what was not taken."""
        return "at-least-once"

    def natural(self, target: TelegramTarget) -> bool:
        """Telegram has no idempotency keys: a send that is repeated arrives twice. The rest may be repeated."""
        return target.call not in {"sendMessage", "sendPhoto"}

    # --- life

    async def open(self) -> None:
        """Reads the TLS files; asks nobody. Raises TlsFailed."""
        self._closed = False
        await self._way.open()

    async def close(self) -> None:
        """Lets connections go. Safe before open, safe twice."""
        self._closed = True
        await self._way.close()
        blocking.close(f"telegram {self.name}")

    async def check(self) -> Health:
        """Asks who the bot is, and whether updates reach us. Never raises."""
        if self._closed:
            return Health("unknown", "not open")
        try:
            await self._way.ask("getMe", self._timeout)
            if self.config.webhook is None:
                return Health("up")
            standing = await self._way.ask("getWebhookInfo", self._timeout)
        except PipeError as error:
            return Health("down", error.text, error.code)
        late = standing.get("last_error_date")
        if isinstance(late, int) and self._services.clock.now() - late < LATE_S:
            said = f"Telegram cannot deliver updates: {standing.get('last_error_message', '')}"
            return Health("degraded", said, "updates_undelivered")
        return Health("up")

    def certificates(self) -> list[Certificate]:
        """That of the Bot API, and the listener's where updates are posted."""
        found = served_certificates(self._services, self.config.listener) if self.config.webhook is not None else []
        return [*self._way.certificates(), *found]

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The way, the token, the listener where updates are posted. Nothing is sent, no update taken."""
        async for rung in self._way.rungs(self._timeout):
            yield rung
        if rung.state != "fail" and self.config.webhook is not None:
            async for rung in listener_rungs(self._services, self.config.listener):
                yield rung

    # --- receiving

    async def run(self, doors: Doors) -> None:
        """Takes updates until cancelled. Raises the PeerError of a Bot API that is lost."""
        me = await self._way.ask("getMe", self._timeout)
        if not isinstance(me, dict) or not isinstance(me.get("username"), str):
            raise ReplyInvalid(f"{self._way.where} does not say who the bot is")
        link = f"{self.config.links.rstrip('/')}/{me['username']}"
        known = {"username": me["username"], "name": me.get("first_name", ""), "link": link}
        if await self._services.noted(self.name, "bot") != known:
            await self._services.note(self.name, "bot", known)
        await self._receiver.run(doors)

    # --- sending

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Calls one method. Raises RecipientGone where the person has blocked the bot or never wrote to it."""
        target: TelegramTarget = outgoing.target
        if isinstance(outgoing.message.body, Blob):
            body, kind = await blocking.run(f"telegram {self.name}", composed, target, outgoing)
        else:
            body, kind = composed(target, outgoing)
        answer = await self._way.call(target.call, body, kind, outgoing.timeout)
        if not target.download:
            return answer
        if not isinstance(answer.body, dict) or not isinstance(answer.body.get("file_path"), str):
            raise ReplyInvalid(f"{self._way.where} names no path of the file", reply=answer)
        return await self._way.file(answer.body["file_path"], outgoing.timeout)
