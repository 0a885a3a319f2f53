"""Telegram in the place of Telegram: a Bot API on loopback for one connection, and a page with the phones."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from partners.records import Rows
from partners.stand_in import Handler, StandIn
from partners.telegram.api import Api, refusal
from partners.telegram.bot import Bot
from partners.telegram.page import Phone
from pipe.contract import Secret
from pipe.errors import BadRequest, PipeError

DEMO_NUMBER = 7_000_000_000


class TelegramPartner(StandIn):
    """The bot of one connection. What the gateway sends it is refused wherever Telegram would refuse it."""

    def __init__(self, name: str, config: Any, folder: Path, *, port: int = 0, fsync: bool = False) -> None:
        """`folder` takes the records, and the phones."""
        self._config = config
        super().__init__(name, self._serves, folder, port=port, fsync=fsync, guard=_let_in)
        username = "".join(sign if sign.isalnum() else "_" for sign in name).strip("_")
        username = username if username.lower().endswith("bot") else f"{username}_bot"
        self.bot = Bot(self._number(), username, folder / "phones.json")
        self._phone = Phone(self.bot)

    def settings(self) -> Mapping[str, Any]:
        """See Partner. Webhooks of a public address would not come here: updates are fetched instead."""
        plain = {"api": self.address, "links": f"{self.address}/t.me", "tls": None, "proxy": None, "allow": None}
        return plain | ({"webhook": None, "updates": "polling"} if self._config.webhook is not None else {})

    @property
    def page(self) -> str:
        """Where the phones are."""
        return f"{self.address}/phone"

    async def offer(self, place: str, body: bytes) -> None:
        """Somebody writes: `place` is the person's number, or the name. Raises BadRequest."""
        for person in self.bot.chats.people.values():
            if place in (str(person.id), person.name):
                person.started = True
                self.bot.write(person, body.decode())
                return
        raise BadRequest(f"nobody here is called `{place}`")

    def status(self) -> dict[str, Any]:
        """See Partner; with the page."""
        return super().status() | {"page": self.page}

    async def close(self) -> None:
        """See Partner."""
        await self.bot.updates.close()
        await super().close()

    def refusal(self, status: int, code: str, text: str, headers: dict[str, str] | None = None) -> web.Response:
        """As Telegram says no; `retry_after` of the manner stands where Telegram puts it."""
        after = (headers or {}).get("Retry-After", "")
        return refusal(status, text, **({"retry_after": int(after)} if after.isdigit() else {}))

    def failed_well(self) -> web.Response:
        """200 with a no inside, which Telegram itself never gives."""
        told = {"ok": False, "error_code": 500, "description": "Internal Server Error: restart"}
        return web.Response(body=orjson.dumps(told), content_type="application/json")

    @web.middleware
    async def _witness(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """People's phones work whatever becomes of the Bot API, and long polling is no message."""
        if request.path.startswith(("/phone", "/t.me/")) or request.path == "/" or request.path.endswith("/getUpdates"):
            return await handler(request)
        return await super()._witness(request, handler)

    def _serves(self, _: Rows) -> Iterable[web.AbstractRouteDef]:
        return [*Api(self.bot, self._token).routes(), *self._phone.routes()]

    def _token(self) -> str | None:
        secret: Secret = self._config.token
        try:
            return secret.reveal().strip()
        except PipeError:
            return None  # of the gateway's own store, which a stand-in cannot read

    def _number(self) -> int:
        number = (self._token() or "").partition(":")[0]
        return int(number) if number.isdigit() else DEMO_NUMBER + zlib.crc32(self.name.encode()) % 1_000_000


async def _let_in(_: web.Request) -> str | None:
    """The token stands in the path, and the Bot API itself says what is wrong with it."""
    return None
