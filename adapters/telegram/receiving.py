"""Updates: fetched by long polling or posted to us, told to Telegram as taken only once they are stored."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Iterable
from typing import Any, get_args

import orjson
from aiohttp import web

from adapters.http_body import read_body
from adapters.http_replies import strict_json
from adapters.telegram.config import Kind, TelegramConfig
from adapters.telegram.way import Way
from pipe.contract import Arrival, Blob, Door, Doors, Duration, Services, Timeout
from pipe.errors import BadRequest, MethodNotAllowed, NoCredentials, ReplyInvalid

WAIT_S = 50
"""how long Telegram holds a question for updates while there are none; it allows no longer"""
AT_ONCE = 100
LARGEST = 1 << 20
"""bytes of one posted update; Telegram's own limit is 64 KiB"""
HEADER = "X-Telegram-Bot-Api-Secret-Token"


class Receiver:
    """Takes one bot's updates to the doors that want them."""

    def __init__(self, name: str, config: TelegramConfig, services: Services, way: Way, timeout: Timeout) -> None:
        self._name, self._config, self._services, self._way = name, config, services, way
        self._timeout = timeout
        waiting = Duration(WAIT_S + timeout.total)
        self._patient = timeout.model_copy(update={"read": waiting, "total": waiting})
        self._doors: dict[str, Door] = {}

    async def run(self, doors: Doors) -> None:
        """Until cancelled. Raises the PeerError of a Bot API that is lost."""
        if self._config.webhook is not None:
            await self._serve(doors)
        else:
            await self._poll(doors)

    # --- long polling

    async def _poll(self, doors: Doors) -> None:
        standing = await self._way.ask("getWebhookInfo", self._timeout)
        if standing.get("url"):
            await self._way.ask("deleteWebhook", self._timeout)
        offset: int | None = None
        while True:
            version = doors.version
            self._open(doors)
            for update in await self._until(doors, version, offset):
                number = _number(update, ReplyInvalid)
                await self._take(update, number)
                offset = number + 1

    async def _until(self, doors: Doors, version: int, offset: int | None) -> list[dict[str, Any]]:
        """The next updates; none where the doors have changed before there were any."""
        asking = asyncio.create_task(self._fetched(offset))
        changing = asyncio.create_task(doors.changed(version))
        try:
            await asyncio.wait({asking, changing}, return_when=asyncio.FIRST_COMPLETED)
            # What is cut off here was not confirmed: Telegram gives it again.
            return await asking if asking.done() else []
        finally:
            for task in (asking, changing):
                task.cancel()
            await asyncio.gather(asking, changing, return_exceptions=True)

    async def _fetched(self, offset: int | None) -> list[dict[str, Any]]:
        asked: dict[str, Any] = {"limit": AT_ONCE, "timeout": WAIT_S, "allowed_updates": sorted(self._doors)}
        if offset is not None:
            asked["offset"] = offset
        updates = await self._way.ask("getUpdates", self._patient, **asked)
        if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates):
            raise ReplyInvalid(f"{self._way.where} answered getUpdates with something that is no list of updates")
        return updates

    # --- webhooks

    async def _serve(self, doors: Doors) -> None:
        path = f"/hooks/{self._name}"
        unmount = self._services.mount(self._config.listener, path, self._receive)
        url = f"{str(self._config.webhook).rstrip('/')}{path}"
        try:
            while True:
                version = doors.version
                self._open(doors)
                asked = {"url": url, "secret_token": self._way.word, "allowed_updates": sorted(self._doors)}
                await self._way.ask("setWebhook", self._timeout, **asked)
                await doors.changed(version)
        finally:
            self._doors = {}
            unmount()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        """Takes one posted update. Raises what the listener tells whoever posted it."""
        if request.method != "POST":
            raise MethodNotAllowed("updates are posted", allow="POST")
        said = request.headers.get(HEADER, "")
        if not hmac.compare_digest(said.encode("utf-8", "surrogateescape"), self._way.word.encode()):
            raise NoCredentials
        body = await read_body(request, LARGEST, self._services)
        try:
            update = strict_json(body.read() if isinstance(body, Blob) else body)
        except (ValueError, RecursionError) as error:
            raise BadRequest(f"the update is no JSON: {error}") from None
        if not isinstance(update, dict):
            raise BadRequest("the update is no object")
        # A body in the answer would be taken for a method to call, and its result be lost.
        await asyncio.shield(self._take(update, _number(update, BadRequest)))
        return web.Response()

    # --- both

    def _open(self, doors: Doors) -> None:
        """Which door takes which kind, as the routes are now."""
        self._doors = {kind: door for door in doors for kind in door.options.updates}

    async def _take(self, update: dict[str, Any], number: int) -> None:
        """Stores an update where a route wants its kind. Raises StoreError where it cannot be stored now."""
        kind = next((kind for kind in get_args(Kind) if kind in update), None)
        door = self._doors.get(kind) if kind is not None else None
        if door is None or kind is None:
            return
        arrival = Arrival(
            body=orjson.dumps(update),
            headers={"bot": self._name, "update": kind},
            content_type="application/json",
            caller=self._name,
            fingerprint=f"telegram {kind}",
            # Numbers of one bot may come again to another one, and to this one after an idle week.
            identity=f"{self._way.bot}:{number}",
        )
        await door.accept(arrival)


def _number(update: dict[str, Any], error: type[ReplyInvalid | BadRequest]) -> int:
    number = update.get("update_id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise error("an update without its number, `update_id`")
    return number


def overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two routes want the same kind."""
    return not set(one).isdisjoint(other)
