"""Updates on their way to the gateway: kept until they are confirmed, fetched by one poller or posted in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from partners.telegram.models import KINDS, GetUpdates, SetWebhook

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class Conflicted(Exception):
    """Two want the same updates; the words are Telegram's."""


class Updates:
    """Those of one bot."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.waiting: list[dict[str, Any]] = []
        self.kinds: tuple[str, ...] = KINDS
        self.webhook: SetWebhook | None = None
        self.hosts: dict[str, str] = {}
        """where hosts of webhooks really are: `{"gateway.example": "http://127.0.0.1:8080"}`"""
        self.confirmed: list[int] = []
        """numbers of updates that the gateway has said it took"""
        self.last_error: tuple[int, str] | None = None
        self._number = int(clock()) * 10
        self._poller: object | None = None
        self._news = asyncio.Event()
        self._posting: asyncio.Task[None] | None = None

    def add(self, kind: str, what: dict[str, Any]) -> int:
        """A new update; returns its number. Kinds that nobody wants are dropped, as Telegram does."""
        self._number += 1
        if kind in self.kinds:
            self.waiting.append({"update_id": self._number, kind: what})
            self._ring()
        return self._number

    def allow(self, kinds: list[str] | None) -> None:
        """None leaves them as they are, an empty list means the usual ones."""
        if kinds is not None:
            self.kinds = tuple(kinds) or KINDS

    # --- fetched

    async def fetch(self, ask: GetUpdates) -> list[dict[str, Any]]:
        """The next ones; those before the offset are confirmed with that. Raises Conflicted."""
        if self.webhook is not None:
            raise Conflicted(
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the "
                "webhook first"
            )
        me = self._poller = object()
        self._ring()  # an older poller learns that it is not the only one
        self.allow(ask.allowed_updates)
        self._confirm(ask.offset)
        until = asyncio.get_running_loop().time() + ask.timeout
        while not self.waiting and (left := until - asyncio.get_running_loop().time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
            if self._poller is not me:
                raise Conflicted(
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
                )
        return self.waiting[: ask.limit]

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self.waiting = self.waiting[offset:]
        elif offset:
            self.confirmed += [each["update_id"] for each in self.waiting if each["update_id"] < offset]
            self.waiting = [each for each in self.waiting if each["update_id"] >= offset]

    # --- posted

    def set_webhook(self, webhook: SetWebhook) -> None:
        """From now on they are posted; with an empty address, fetched."""
        self.allow(webhook.allowed_updates)
        if webhook.drop_pending_updates:
            self.waiting.clear()
        self.webhook = webhook if webhook.url else None
        self._ring()
        if self.webhook is not None and (self._posting is None or self._posting.done()):
            self._posting = asyncio.create_task(self._post())

    async def _post(self) -> None:
        pause = FIRST_PAUSE_S
        async with aiohttp.ClientSession() as client:
            while self.webhook is not None:
                if not self.waiting:
                    await self._news.wait()
                    continue
                if await self._taken(client, self.webhook, self.waiting[0]):
                    self.confirmed.append(self.waiting.pop(0)["update_id"])
                    pause = FIRST_PAUSE_S
                else:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _taken(self, client: aiohttp.ClientSession, webhook: SetWebhook, update: dict[str, Any]) -> bool:
        parts = urlsplit(webhook.url)
        base = self.hosts.get(parts.netloc, f"{parts.scheme}://{parts.netloc}")
        headers = {"X-Telegram-Bot-Api-Secret-Token": webhook.secret_token} if webhook.secret_token else {}
        try:
            async with client.post(f"{base}{parts.path}", json=update, headers=headers) as answer:
                if answer.status < 300:
                    return True
                said = f"Wrong response from the webhook: {answer.status} {answer.reason}"
        except aiohttp.ClientError as error:
            said = f"Connection failed: {type(error).__name__}"
        self.last_error = int(self._clock()), said
        return False

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def close(self) -> None:
        """Stops posting; what waits is kept by nobody."""
        if self._posting is not None:
            self._posting.cancel()
            await asyncio.gather(self._posting, return_exceptions=True)
            self._posting = None
