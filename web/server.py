"""aiohttp's low-level server with our connections: one handler, no routing of its own, a cap on how many stay open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from pipe.errors import PipeError
from web.connection import Connection
from web.limits import HttpLimits, affordable
from web.plain import Plain

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.streams import StreamReader

Network = IPv4Network | IPv6Network


class Request(web.Request):
    """A request that may be refused before any handler sees it; its answers do not tell what serves them."""

    ATTRS = web.Request.ATTRS | {"refusal"}
    refusal: PipeError | None = None
    """what its connection found wrong with its header"""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.pop("Server", None)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")


Handler = Callable[[Request], Awaitable[web.StreamResponse]]
Work = Callable[[], Awaitable[bytes]]
"""answers one plain request"""


class Server(web.Server):
    """Makes connections and requests; `handler` gets every request that is well made and that `plain` leaves."""

    def __init__(
        self,
        handler: Handler,
        limits: HttpLimits,
        trusted: Sequence[Network] = (),
        plain: Callable[[Plain], Work | None] = lambda request: None,
    ) -> None:
        super().__init__(handler, request_factory=self._request)  # type: ignore[arg-type]  # ours get web.Request
        self.plain = plain
        self.limits = limits
        self._most = affordable(limits.connections)
        self._handler = handler
        self._trusted = tuple(trusted)
        self._by_address: dict[str, dict[Connection, None]] = {}

    def __call__(self) -> RequestHandler:
        """A new connection."""
        limits = self.limits
        return Connection(
            self,
            limits,
            loop=self._loop,
            keepalive_timeout=limits.keep_alive,
            access_log=None,
            max_line_size=8190,
            max_field_size=limits.header_bytes,
            max_headers=limits.header_fields,
            lingering_time=limits.linger,
            auto_decompress=False,
        )

    def admit(self, connection: Connection) -> bool:
        """Whether the connection may stay; where there are too many, the one that rests longest makes room."""
        address = connection.address
        peers = self._by_address.setdefault(address, {})
        peers[connection] = None
        if len(peers) > self.limits.per_address and not self._trusts(address):
            return self._make_room(peers, connection)
        if len(self._connections) > self._most:
            everyone = {other: None for peers in self._by_address.values() for other in peers}
            return self._make_room(everyone, connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Frees the connection's place."""
        peers = self._by_address.get(connection.address)
        if peers is not None:
            peers.pop(connection, None)
            if not peers:
                del self._by_address[connection.address]

    def look(self) -> None:
        """Ends connections that are too slow."""
        now = self._loop.time()
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.look(now)

    def told(self, address: str, headers: Any) -> dict[str, Any]:
        """`remote` and `scheme` of a request as the proxy at that address tells them; nothing where it is none."""
        if self._trusted and self._trusts(address):
            return _forwarded(headers, address, self._trusted)
        return {}

    def _make_room(self, peers: dict[Connection, None], newcomer: Connection) -> bool:
        for other in peers:
            if other is not newcomer and other.resting:
                other.force_close()
                self.forget(other)
                return True
        return False

    def _trusts(self, address: str) -> bool:
        return bool(self._trusted) and _inside(address, self._trusted)

    def _request(
        self, message: Any, payload: StreamReader, protocol: RequestHandler, writer: AbstractStreamWriter, task: Any
    ) -> Request:
        connection: Any = protocol
        error = connection.began(message, payload)
        told = self.told(connection.address, message.headers)
        request = Request(message, payload, protocol, writer, task, self._loop, **told)
        if error is not None:
            request.refusal = error
        return request


def _inside(address: str, networks: Sequence[Network]) -> bool:
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return any((mapped or ip) in network for network in networks)


def _forwarded(headers: Any, peer: str, trusted: Sequence[Network]) -> dict[str, Any]:
    """Address and scheme of the client as trusted proxies tell them: the last hop that is not one of them."""
    hops = [hop.strip() for line in headers.getall("X-Forwarded-For", ()) for hop in line.split(",")]
    told = {"remote": next((hop for hop in reversed(hops) if hop and not _inside(hop, trusted)), peer)}
    scheme = headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
    if scheme in {"http", "https"}:
        told["scheme"] = scheme
    return told
