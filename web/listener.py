"""The addresses that the gateway serves HTTP on, and which handler answers below which path."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError
from loguru import logger

from pipe.config.models import Listener
from pipe.contract import Listening
from pipe.errors import BadRequest, ConfigError, NotFound, PipeError, defect
from web.certificates import context_of, stamp_of
from web.limits import HttpLimits
from web.plain import Plain
from web.problem import from_http_exception, problem_bytes, problem_response
from web.server import Handler, Request, Server, Work

PlainHandler = Callable[[Plain], Work | None]

DEFAULT = "default"
"""the listener that serves what names none"""


class Listeners:
    """All listeners. Handlers are mounted before or after `start`; what they raise becomes a problem."""

    def __init__(
        self, configs: Mapping[str, Listener], default_address: str | None = None, limits: HttpLimits | None = None
    ) -> None:
        """`default_address` is where what names no listener is served; None: on the first of `configs`."""
        listeners = dict(configs)
        if default_address is not None:
            listeners = {DEFAULT: Listener(address=default_address), **listeners}
        if not listeners:
            raise ConfigError("there is no address to listen on")
        self._default = DEFAULT if DEFAULT in listeners else next(iter(listeners))
        self._sites = {name: _Site(name, config, limits or HttpLimits()) for name, config in listeners.items()}

    def mount(
        self, listener: str | None, prefix: str, handler: Handler, plain: PlainHandler | None = None
    ) -> Callable[[], None]:
        """Serves everything below `prefix`; the longest prefix wins, a second mount replaces the first in one step.

        `plain` is asked first about plain requests (see web/plain.py); what it leaves is the handler's.
        Returns what takes both away again; harmless where another has taken their place.
        """
        return self._site(listener).mount(prefix.rstrip("/"), _Mount(handler, plain))

    def secured(self, listener: str | None) -> bool:
        """Whether only this machine reaches the listener, or only callers with a client certificate."""
        config = self._site(listener).config
        return is_loopback(config.address) or (config.tls is not None and config.tls.client_ca is not None)

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Host and port of every listener that stands, as bound."""
        return {name: site.bound for name, site in self._sites.items() if site.bound is not None}

    def listening(self, listener: str | None) -> Listening:
        """Where a listener is, bound or as configured."""
        site = self._site(listener)
        tls = site.config.tls
        host, port = site.bound or split_address(site.config.address)
        return Listening(host, port, site.bound is not None, Path(tls.cert) if tls is not None else None)

    async def start(self) -> None:
        """Binds them all, or none: raises ConfigError naming the address that cannot be had."""
        try:
            for site in self._sites.values():
                await site.start()
        except BaseException:
            await self.stop(grace=0)
            raise

    async def stop(self, grace: float = 30) -> None:
        """Takes no new connections; requests in progress have `grace` seconds to end. Safe twice."""
        await asyncio.gather(*(site.stop(grace) for site in self._sites.values()))

    def _site(self, listener: str | None) -> _Site:
        site = self._sites.get(listener or self._default)
        if site is None:
            raise ConfigError(f"listener `{listener}` is not configured; there are: {', '.join(self._sites)}")
        return site


@dataclass(frozen=True, slots=True, eq=False)
class _Mount:
    handler: Handler
    plain: PlainHandler | None


class _Site:
    """One address."""

    def __init__(self, name: str, config: Listener, limits: HttpLimits) -> None:
        self.config = config
        self.bound: tuple[str, int] | None = None
        self._log = logger.bind(listener=name)
        self._limits = limits
        self._mounts: dict[str, _Mount] = {}
        self._server: Server | None = None
        self._socket: socket.socket | None = None
        self._acceptor: asyncio.AbstractServer | None = None
        self._stamp: object = None
        self._watch: asyncio.Task[None] | None = None

    def mount(self, prefix: str, entry: _Mount) -> Callable[[], None]:
        self._mounts[prefix] = entry

        def unmount() -> None:
            if self._mounts.get(prefix) is entry:
                del self._mounts[prefix]

        return unmount

    async def start(self) -> None:
        host, port = split_address(self.config.address)
        trusted = [ip_network(network, strict=False) for network in self.config.trusted_proxies]
        self._server = Server(self._handle, self._limits, trusted, self._plain)
        context = await self._fresh_context()
        try:
            self._socket = _listening(host, port)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self.config.address}: {error.strerror or error}",
                hint="stop what listens there, or choose another address with `--listen` or in `listeners:`",
            ) from error
        self._acceptor = await self._accept(context)
        self.bound = self._socket.getsockname()[:2]
        self._watch = asyncio.create_task(self._keep_watch(), name=f"listener {self.config.address}")

    async def stop(self, grace: float) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.bound = None
        if watch is not None:
            await asyncio.wait([watch])
        if self._server is not None:
            await asyncio.sleep(0)  # what was accepted just now gets its turn
            self._server.pre_shutdown()
            await self._server.shutdown(grace)
            self._server = None

    async def _handle(self, request: Request) -> web.StreamResponse:
        """Finds the handler, and makes every failure a problem."""
        try:
            if request.refusal is not None:
                raise request.refusal
            mount = self._find(request.rel_url.raw_path)
            if mount is None:
                raise NotFound("nothing is served at this address")
            return await mount.handler(request)
        except PipeError as error:
            return _closing(request, problem_response(error))
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _closing(request, problem_response(from_http_exception(error)))
        except (ConnectionError, RequestPayloadError):
            return _closing(request, problem_response(BadRequest("the body was not well made, or broke off")))
        except Exception as error:  # boundary: a handler's defect must not show its inside
            self._log.opt(exception=error).error("A handler of HTTP requests broke", action="http")
            return _closing(request, problem_response(defect(error)))

    def _plain(self, request: Plain) -> Work | None:
        """What answers a plain request; None where the handler must."""
        mount = self._find(request.raw_path)
        work = mount.plain(request) if mount is not None and mount.plain is not None else None
        return None if work is None else functools.partial(self._worked, work)

    async def _worked(self, work: Work) -> bytes:
        """The answer to a plain request; every failure is a problem."""
        try:
            return await work()
        except PipeError as error:
            return problem_bytes(error)
        except Exception as error:  # boundary: a handler's defect must not show its inside
            self._log.opt(exception=error).error("A handler of HTTP requests broke", action="http")
            return problem_bytes(defect(error))

    def _find(self, path: str) -> _Mount | None:
        mounts, prefix = self._mounts, path.rstrip("/")
        while True:
            mount = mounts.get(prefix)
            if mount is not None or not prefix:
                return mount
            prefix = prefix.rpartition("/")[0]

    async def _accept(self, context: ssl.SSLContext | None) -> asyncio.AbstractServer:
        assert self._socket is not None
        assert self._server is not None
        return await asyncio.get_running_loop().create_server(
            self._server,
            sock=self._socket.dup(),
            ssl=context,
            backlog=1024,
            ssl_handshake_timeout=self._limits.handshake if context is not None else None,
        )

    async def _fresh_context(self) -> ssl.SSLContext | None:
        if self.config.tls is None:
            return None
        self._stamp = await asyncio.to_thread(stamp_of, self.config.tls)
        return await asyncio.to_thread(context_of, self.config.tls)

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick)
            try:
                if self._server is not None:
                    self._server.look()
                await self._renew()
            except Exception as error:  # boundary: the watch must outlive whatever one look met
                self._log.opt(exception=error).error("The watch over a listener failed", action="listener")

    async def _renew(self) -> None:
        """Takes up renewed certificate files: a second acceptor on the same socket, then the first goes."""
        tls = self.config.tls
        if tls is None or await asyncio.to_thread(stamp_of, tls) == self._stamp:
            return
        try:
            context = await self._fresh_context()
        except ConfigError as error:
            self._log.error("The renewed certificate is not taken up: {}", error.text, action="certificate")
            return
        before, self._acceptor = self._acceptor, await self._accept(context)
        if before is not None:
            before.close()
        self._log.info("The renewed certificate is in use", action="certificate")


def refuse_open_staff(name: str, config: Listener) -> None:
    """Raises ConfigError where staff would sign in over the open network without TLS."""
    if not (is_loopback(config.address) or config.tls is not None or config.behind_proxy):
        raise ConfigError(
            f"listener `{name}` on {config.address} serves staff, but is neither loopback nor TLS; "
            "give it `tls:`, or say `behind_proxy: true` where a proxy in front ends TLS"
        )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches the address."""
    host, _ = split_address(address)
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080`, `[::1]:8080` or `:8080` (everywhere). Raises ConfigError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f"`{address}` is not an address like 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 — nothing before the colon means everywhere


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def _closing(request: Request, response: web.Response) -> web.Response:
    """Closes after a failure whose body was not read to its end: the rest must not be taken for a request."""
    if request.refusal is not None or not request.content.at_eof():
        response.force_close()
    return response
