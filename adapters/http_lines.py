"""The kept connections to one origin: made as the allow-list, TLS and the proxy say, used again while they are good."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from functools import partial
from typing import Any

import aiohttp
from aiohttp import ClientError, ClientRequest, ClientTimeout, TCPConnector
from yarl import URL

from adapters.http_line import Line, Talk, still_good
from adapters.http_network import CheckedResolver, Forbidden, Permissions, Proxy, TlsFiles, tls_reason
from pipe import blocking
from pipe.contract import Timeout
from pipe.errors import AddressForbidden, NotAuthorised, PeerError, TlsFailed, Unreachable

KEEP_ALIVE = 15.0
"""seconds that an idle connection is kept; most servers close theirs later than that"""
FILES_EVERY = 5.0
"""seconds between two looks at the TLS files"""


class Lines:
    """Hands out connections to one origin, at most `limit` at the same time."""

    def __init__(
        self, name: str, url: URL, *, permissions: Permissions, tls: TlsFiles, limit: int, proxy: Proxy | None
    ) -> None:
        """`name` is the connection's, for errors and threads."""
        self._name, self._url, self._permissions, self._tls, self._proxy = name, url, permissions, tls, proxy
        self.where = f"{url.host}:{url.port}"
        self._resolver = CheckedResolver(permissions, f"dns {name}")
        self._room = asyncio.Semaphore(limit)
        self._idle: list[Line] = []
        self._silent: list[Line] = []
        """those of the idle ones that were looked at in this turn of the event loop"""
        self._width = 1
        self._sweeper: asyncio.TimerHandle | None = None
        self._connector: TCPConnector | None = None
        self._template: ClientRequest | None = None
        self._made_of: tuple[Any, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._looked = float("-inf")

    async def open(self) -> None:
        """Reads the TLS files. Raises TlsFailed, AddressForbidden."""
        if not self._permissions.host(self._url.host or ""):
            raise AddressForbidden(f"{self._url.host} is not listed in `allow: hosts`", connection=self._name)
        await self._look_at_files()
        self._connector = TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            socket_factory=self._permissions.socket,
            force_close=True,
            limit=0,
        )
        ours: Any = partial(Talk, asyncio.get_running_loop())
        self._connector._factory = ours  # noqa: SLF001  the one way to a protocol of our own

    async def close(self) -> None:
        """Ends every connection. Safe before open, safe twice."""
        self._drop_idle()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._connector is not None:
            connector, self._connector = self._connector, None
            await connector.close()
            await self._resolver.close()
            blocking.close(f"tls {self._name}")

    async def take(self, timeout: Timeout) -> Line:
        """A connection that stands, TLS included; give it back with `keep` or `drop`.

        Raises Unreachable, TlsFailed, AddressForbidden, and NotAuthorised where the proxy refuses us.
        """
        if self._room.locked():
            try:
                async with asyncio.timeout(min(timeout.connect, timeout.total)):
                    await self._room.acquire()
            except TimeoutError:
                raise Unreachable(f"no connection to {self.where} came free within {timeout.connect}") from None
        else:
            await self._room.acquire()
        try:
            return await self._good(timeout)
        except (ClientError, OSError) as error:
            self._room.release()
            raise self._meaning(error, timeout) from error
        except BaseException:
            self._room.release()
            raise

    def keep(self, line: Line, seconds: float = KEEP_ALIVE) -> None:
        """Takes back a connection whose exchange is complete; it may be used again for so long."""
        if seconds <= 0 or self._connector is None or line.talk.should_close:
            self.drop(line)
            return
        self._room.release()
        line.talk.resting = True
        loop = asyncio.get_running_loop()
        line.good_until = loop.time() + seconds
        self._idle.append(line)
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEEP_ALIVE, self._sweep)

    def drop(self, line: Line) -> None:
        """Takes back a connection that must not be used again."""
        line.close()
        self._room.release()

    async def _good(self, timeout: Timeout) -> Line:
        loop = asyncio.get_running_loop()
        if self._connector is None:
            raise Unreachable(f"the connection {self._name} is closed")
        if self._url.scheme == "https" and loop.time() - self._looked >= FILES_EVERY:
            await self._look_at_files()
        template = self._today()
        if (line := self._kept()) is not None:
            return line
        patience = ClientTimeout(connect=min(timeout.connect, timeout.total))
        line = Line(await self._connector.connect(template, [], patience))
        if self._context is not None:
            self._tls.saw(line.transport.get_extra_info("peercert"))
        return line

    def _kept(self) -> Line | None:
        """The idle connection that was used last, if one is still good.

        Messages leave in bursts, and looking at one socket costs nearly as much as looking at many: the second look in
        a turn of the event loop is twice as wide as the first. What it saw holds for this turn and no longer.
        """
        loop = asyncio.get_running_loop()
        while not self._silent:
            if not self._idle:
                return None
            if self._width == 1:
                loop.call_soon(self._forget)
            width, self._width = self._width, 2 * self._width
            self._silent = still_good(self._idle[-width:], loop.time())
            del self._idle[-width:]
        return self._silent.pop()

    def _forget(self) -> None:
        self._idle += self._silent
        self._silent, self._width = [], 1

    def _sweep(self) -> None:
        self._forget()
        self._idle = still_good(self._idle, asyncio.get_running_loop().time())
        self._sweeper = asyncio.get_running_loop().call_later(KEEP_ALIVE, self._sweep) if self._idle else None

    def _drop_idle(self) -> None:
        self._forget()
        while self._idle:
            self._idle.pop().close()

    async def _look_at_files(self) -> None:
        if self._url.scheme == "https":
            self._context = await blocking.run(f"tls {self._name}", self._tls.context)
        self._looked = asyncio.get_running_loop().time()

    def _today(self) -> ClientRequest:
        """What aiohttp's connector wants to know of a request: its place, TLS and proxy, as they are today."""
        made_of = (self._context, self.proxy_pass() if self._proxy else None)
        if self._template is None or self._made_of != made_of:
            self._drop_idle()  # what was made with yesterday's certificate or password
            self._made_of = made_of
            self._template = ClientRequest(
                "GET",
                self._url,
                loop=asyncio.get_running_loop(),
                ssl=self._context or True,
                server_hostname=self._tls.server_name,
                proxy=URL(self._proxy.url) if self._proxy else None,
                proxy_headers={"Host": self._url.raw_authority, **self.proxy_pass()} if self._proxy else None,
            )
        return self._template

    def proxy_pass(self) -> dict[str, str]:
        """The header that the proxy knows us by; empty where it asks for none. Raises SecretMissing."""
        if self._proxy is None or not self._proxy.username:
            return {}
        password = self._proxy.password.reveal() if self._proxy.password else ""
        pair = base64.b64encode(f"{self._proxy.username}:{password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {pair}"}

    def _meaning(self, error: BaseException, timeout: Timeout) -> PeerError:
        """What it says that there is no connection; nothing has been sent."""
        cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
        if isinstance(cause, Forbidden) or isinstance(error, aiohttp.InvalidURL):
            return AddressForbidden(str(cause), connection=self._name)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return Unreachable(f"the name {self._url.host} cannot be resolved: {cause}")
        if isinstance(cause, TimeoutError):
            return Unreachable(f"{self.where} did not take the connection within {timeout.connect}")
        if isinstance(cause, (ssl.SSLError, ssl.CertificateError)) and not isinstance(cause, ssl.SSLEOFError):
            return TlsFailed(f"{self.where}: {tls_reason(cause)}")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            kind = NotAuthorised if error.status == 407 else Unreachable
            return kind(f"the proxy answered {error.status} when asked for {self.where}")
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return Unreachable(f"the proxy does not take the connection: {cause}")
        return Unreachable(f"{self.where} does not take the connection: {str(cause) or type(cause).__name__}")


def kept_for(header: str | None) -> float:
    """Seconds that a connection may be used again, by the partner's `Keep-Alive`: a second less than it says."""
    asked = re.search(r"timeout=(\d{1,6})", header) if header else None
    return min(KEEP_ALIVE, int(asked[1]) - 1) if asked else KEEP_ALIVE
