"""The way to the Bot API: one transport; the token is read when it is used, and stands in no error."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
from yarl import URL

from adapters.http_dialling import Dialler
from adapters.http_network import Permissions, TlsFiles
from adapters.http_rungs import Ladder, failed
from adapters.http_transport import HttpTransport, Reply, Request
from adapters.telegram.answers import read
from adapters.telegram.config import TelegramConfig
from pipe.contract import Certificate, Receipt, Rung, Timeout
from pipe.errors import NotAuthorised, PeerFailed, PipeError, Refused, ReplyInvalid, ReplyTooLarge

JSON = "application/json"
_HEADERS = {"Accept": JSON, "Accept-Encoding": "gzip", "User-Agent": "pipe-gateway"}
_TOKEN = re.compile(r"([0-9]{3,20}):[A-Za-z0-9_-]{20,80}", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*", re.ASCII)
"""a file's path as Telegram gives it; nothing in it climbs"""


class Way:
    """Calls methods of one bot."""

    def __init__(self, name: str, config: TelegramConfig) -> None:
        others = [config.proxy.url] if config.proxy else []
        self._config, self._base = config, URL(config.api).raw_path.rstrip("/")
        self._permissions = Permissions(config.allow, config.api, *others)
        self._tls = TlsFiles(config.tls, None)
        self._transport = HttpTransport(
            name,
            config.api,
            permissions=self._permissions,
            tls=self._tls,
            limit=config.concurrency + 2,  # long polling holds one of its own
            max_reply=config.max_reply,
            proxy=config.proxy,
        )
        self.where = self._transport.where

    async def open(self) -> None:
        """Reads the TLS files. Raises TlsFailed, AddressForbidden."""
        await self._transport.open()

    async def close(self) -> None:
        """Ends every connection. Safe twice."""
        await self._transport.close()

    def certificates(self) -> list[Certificate]:
        """That of the Bot API."""
        return self._transport.certificates()

    @property
    def bot(self) -> str:
        """The bot's number, as its token begins. Raises SecretMissing, NotAuthorised where it is no token."""
        return self._token().partition(":")[0]

    @property
    def word(self) -> str:
        """What Telegram must say with each webhook: made of the token, so it changes with it."""
        return hmac.new(self._token().encode(), b"pipe webhook", hashlib.sha256).hexdigest()

    async def ask(self, method: str, patience: Timeout, /, **parameters: Any) -> Any:
        """What a method returns. Raises the PeerError of a refusal."""
        return (await self.call(method, orjson.dumps(parameters), JSON, patience)).body

    async def call(self, method: str, body: bytes, kind: str, timeout: Timeout) -> Receipt:
        """One call; the receipt's body is what the method returned. Raises the PeerError of a refusal."""
        target = f"{self._base}/bot{self._token()}/{method}"
        reply = await self._exchange("POST", target, {"Content-Type": kind}, body, timeout)
        answer, error = read(reply, self.where, method)
        if error is not None:
            raise error
        return answer

    async def file(self, path: str, timeout: Timeout) -> Receipt:
        """A file by the path that `getFile` gave. Raises ReplyTooLarge, Refused for a path that is good no longer."""
        if not _PATH.fullmatch(path):
            raise ReplyInvalid(f"{self.where} names a file by something that is no path")
        reply = await self._exchange("GET", f"{self._base}/file/bot{self._token()}/{path}", {}, b"", timeout)
        if reply.status != 200:
            raise (PeerFailed if reply.status >= 500 else Refused)(f"{self.where} answered {reply.status} for a file")
        return Receipt(200, body=reply.body, content_type=reply.headers.get("Content-Type"))

    async def _exchange(
        self, method: str, target: str, headers: dict[str, str], body: bytes, timeout: Timeout
    ) -> Reply:
        reply = await self._transport.exchange(Request(method, target, {**_HEADERS, **headers}, body), timeout)
        if reply.cut is not None:
            raise ReplyTooLarge(f"the answer of {self.where} was cut: {reply.cut}")
        return reply

    def _token(self) -> str:
        token = self._config.token.reveal().strip()
        if not _TOKEN.fullmatch(token):
            raise NotAuthorised(
                f"what {self._config.token.reference} holds is no bot's token",
                hint="a token is digits, a colon, and letters, as BotFather gives it",
            )
        return token

    async def rungs(self, timeout: Timeout) -> AsyncIterator[Rung]:
        """Name, tcp, tls, and who the bot is."""
        first = URL(self._config.proxy.url) if self._config.proxy is not None else URL(self._config.api)
        tls = self._tls if first.scheme == "https" else None
        dialler = Dialler(first.host or "", first.port or 80, self._permissions, tls)
        async with Ladder(dialler, timeout, "doctor telegram") as ladder:
            async for rung in ladder.climbed():
                yield rung
        if rung.state == "fail":
            return
        try:
            await self.open()
            me = await self.ask("getMe", timeout)
            yield Rung("bot", "ok", f"@{me.get('username')}, number {me.get('id')}")
        except PipeError as error:
            yield failed("bot", error)
        finally:
            await self.close()
