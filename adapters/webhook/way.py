"""The way to the receiver: one transport, the secret part of the address put in when it is used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar
from urllib.parse import quote

from yarl import URL

from adapters.http_dialling import Dialler
from adapters.http_network import Permissions, TlsFiles
from adapters.http_rungs import Ladder, failed
from adapters.http_transport import HttpTransport, Reply, Request
from adapters.webhook.config import WebhookConfig
from pipe import blocking
from pipe.contract import Certificate, Rung, Timeout
from pipe.errors import NotAuthorised, PipeError

R = TypeVar("R")
_HEADERS = {"Accept": "*/*", "User-Agent": "pipe-gateway", "Content-Type": "application/json"}


class Way:
    """Posts to one address."""

    def __init__(self, name: str, config: WebhookConfig, url: str) -> None:
        others = [config.proxy.url] if config.proxy else []
        self._name, self._config, self._url = name, config, URL(url)
        self._permissions = Permissions(config.allow, url, *others)
        self._tls = TlsFiles(config.tls, config.mtls)
        self._transport = HttpTransport(
            name,
            url,
            permissions=self._permissions,
            tls=self._tls,
            limit=config.concurrency,
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
        blocking.close(f"signing {self._name}")

    def certificates(self) -> list[Certificate]:
        """The receiver's and ours."""
        return self._transport.certificates()

    async def reach(self, timeout: Timeout) -> None:
        """Only makes a connection. Raises what `post` raises before it sends."""
        await self._transport.reach(timeout)

    async def signed(self, function: Callable[..., R], *arguments: Any) -> R:
        """A signature, made in a thread: the body may be a file."""
        return await blocking.run(f"signing {self._name}", function, *arguments)

    async def post(self, body: Any, headers: dict[str, str], timeout: Timeout) -> Reply:
        """Posts; the reply whatever its status."""
        return await self._transport.exchange(Request("POST", self._target(), {**_HEADERS, **headers}, body), timeout)

    def _target(self) -> str:
        """The path with its secret part, read now. Raises SecretMissing, NotAuthorised where it is no path."""
        base = self._url.raw_path.rstrip("/")
        if self._config.path is None:
            return base or "/"
        rest = self._config.path.reveal().strip()
        if not rest.startswith("/") or not rest.isprintable() or not rest.isascii() or " " in rest:
            raise NotAuthorised(
                f"what {self._config.path.reference} holds is no path: it begins with `/` and has no blanks",
                hint="write only what follows the host, for Slack `/services/…`",
            )
        return base + quote(rest, safe="/:@!$&'()*+,;=-._~%?")

    async def rungs(self, timeout: Timeout) -> AsyncIterator[Rung]:
        """Name, tcp, tls, and that the address is whole. Nothing is posted."""
        first = URL(self._config.proxy.url) if self._config.proxy is not None else self._url
        tls = self._tls if first.scheme == "https" else None
        dialler = Dialler(first.host or "", first.port or 80, self._permissions, tls)
        async with Ladder(dialler, timeout, f"doctor {self._name}") as ladder:
            async for rung in ladder.climbed():
                yield rung
        if rung.state == "fail":
            return
        try:
            self._target()
        except PipeError as error:
            yield failed("address", error)
            return
        text = "a webhook has no question without consequences: only a message shows whether it is taken"
        yield Rung("address", "warn", text, "send one through a test route to be sure")
