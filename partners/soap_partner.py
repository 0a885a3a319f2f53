"""The stand-in of a SOAP partner, derived from its WSDL: the gateway's own server side with examples behind it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from yarl import URL

from adapters.soap.config import service_at
from adapters.soap.faults import fault_envelope
from adapters.soap.server import SoapServer, SoapServerConfig, SoapSubscription
from adapters.soap.xml import written
from partners.examples import Use, reply_to, uses
from partners.guards import TOKEN_PATH, Guard, led_here
from partners.records import Rows
from partners.soap_examples import example
from partners.stand_in import StandIn
from pipe.clock import SystemClock
from pipe.config.models import Configuration, ConnectionSpec
from pipe.contract import Accepted, Arrival, Blob, Clock, Receipt, Timeout
from pipe.errors import BadRequest, Refused, TooLarge, Unencodable
from pipe.trials.model import Reply

if TYPE_CHECKING:
    from adapters.soap.service import Service

LARGEST = 64 << 20
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Spool:
    """Bodies in memory."""

    def __init__(self, limit: int) -> None:
        self._limit, self._body = limit, bytearray()

    async def write(self, piece: bytes) -> None:
        """Raises TooLarge past the limit."""
        self._body += piece
        if len(self._body) > self._limit:
            raise TooLarge(f"the body is larger than {self._limit} bytes")

    async def finish(self) -> bytes | Blob:
        """All of it."""
        return bytes(self._body)

    def discard(self) -> None:
        """Forgets it."""
        self._body.clear()


class _Lent:
    """What the server side is lent: a clock, and a place to put its handler."""

    clock: Clock = SystemClock()
    default_timeout = Timeout()

    def __init__(self) -> None:
        self.handler: Handler
        self.mounted = asyncio.Event()

    def spool(self, limit: int) -> _Spool:
        """In memory."""
        return _Spool(limit)

    def mount(self, listener: str | None, prefix: str, handler: Handler) -> Callable[[], None]:
        """Keeps it."""
        self.handler = handler
        self.mounted.set()
        return lambda: None

    def secured(self, listener: str | None) -> bool:
        """It is on loopback."""
        return True

    async def fate(self, id: str, caller: str | None) -> Mapping[str, Any] | None:
        """Nobody asks."""

    async def noted(self, connection: str, name: str) -> Any:
        """Nothing."""

    async def note(self, connection: str, name: str, value: Any) -> None:
        """Nothing is kept."""


class _Door:
    """The entrance of one operation: answers with its example."""

    route, max_body = "stand-in", LARGEST

    def __init__(self, partner: SoapPartner, operation: str, *, synchronous: bool) -> None:
        self._partner, self.synchronous = partner, synchronous
        self.options = SoapSubscription(operation=operation)

    async def accept(self, arrival: Arrival) -> Accepted:
        """Notes it down and answers."""
        return self._partner.accepted(self.options.operation, arrival)


class _Doors:
    """One for each operation; they never change."""

    version = 0

    def __init__(self, doors: Iterable[_Door]) -> None:
        self._doors = tuple(doors)

    def __iter__(self) -> Iterator[_Door]:
        return iter(self._doors)

    async def changed(self, version: int) -> None:
        """Never."""
        await asyncio.Event().wait()


class _Again:
    """A request whose body has been read, as if it had not."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self._request, self._body = request, body
        self.content = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def is_eof(self) -> bool:
        """All is here."""
        return True

    def read_nowait(self) -> bytes:
        """What is left."""
        body, self._body = self._body, b""
        return body

    async def readany(self) -> bytes:
        """What is left."""
        return self.read_nowait()


class SoapPartner(StandIn):
    """Takes what fits the WSDL and nothing else; answers as `tests:` say, else by an example of the reply."""

    def __init__(
        self,
        spec: ConnectionSpec,
        configuration: Configuration,
        folder: Path,
        *,
        port: int = 0,
        fsync: bool = False,
    ) -> None:
        """`folder` takes the records."""
        self._config: Any = spec.config
        self._spec, self._configuration = spec, configuration
        self._guard_ = Guard(self._config.http)
        super().__init__(spec.name, self._serves, folder, port=port, fsync=fsync, guard=self._guard_)
        self._path = URL(self._config.address).path or "/"
        self._lent = _Lent()
        self._server: SoapServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._described: Service = service_at(self._config.wsdl, self._config.service, self._config.port)
        self.replies: dict[str, Reply] = {}

    def settings(self) -> Mapping[str, Any]:
        """See Partner."""
        plain = {"url": f"{self.address}{self._path}", "tls": None, "proxy": None, "allow": None}
        changed = led_here(self._config.http, f"{self.address}{TOKEN_PATH}")
        wsse = self._config.wsse
        if wsse is not None and wsse.verify is not None:
            # A stand-in has no certificate of the partner's to sign with.
            changed["auth.wsse.verify" if wsse.model_fields_set - {"verify"} else "auth.wsse"] = None
        return {**plain, **changed}

    def answer(self, operation: str, **reply: Any) -> None:
        """From now on this operation is answered so: `body`, or `fault`. Raises BadRequest for an unknown one."""
        if self._described.operation(operation) is None:
            raise BadRequest(f"the WSDL has no operation {operation}; it has {', '.join(self._described.names)}")
        self.replies[operation] = Reply.model_validate(reply)

    async def _open(self, sock: Any) -> None:
        lent: Any = self._lent
        self._server = SoapServer(self.name, self._server_config(), lent)
        await self._server.open()
        doors: Any = _Doors(
            _Door(self, name, synchronous=found[1].output is not None)
            for name in self._described.names
            if (found := self._described.operation(name)) is not None
        )
        self._serving = asyncio.create_task(self._server.run(doors), name=f"stand-in {self.name}")
        await self._lent.mounted.wait()
        await super()._open(sock)

    async def _shut(self) -> None:
        await super()._shut()
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        if self._server is not None:
            await self._server.close()

    def _server_config(self) -> SoapServerConfig:
        base = {"type": "soap_server", "wsdl": self._config.wsdl, "service": self._config.service}
        auth: Any = "none"
        if (wsse := self._config.wsse) is not None:
            auth = {"wsse": self._callers(wsse)}
        return SoapServerConfig.model_validate({**base, "port": self._config.port, "auth": auth}, strict=False)

    def _callers(self, wsse: Any) -> dict[str, Any]:
        """WS-Security that lets in exactly this connection."""
        found: dict[str, Any] = {}
        if wsse.username is not None:
            path = self.folder.resolve() / "wsse.users"
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(f"{wsse.username}:{wsse.password.reveal()}\n")
            found["users"] = f"${{file:{path}}}"
        if wsse.sign is not None:
            found["certificates"] = str(wsse.sign.cert)
        return found

    def _serves(self, rows: Rows) -> Iterable[web.AbstractRouteDef]:
        return [web.post(TOKEN_PATH, self._guard_.give_token), web.route("*", self._path, self._take)]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        again: Any = _Again(request, await request.read())
        return await self._lent.handler(again)

    def accepted(self, operation: str, arrival: Arrival) -> Accepted:
        """One call that fits the WSDL. Raises Refused where there is no example of its reply."""
        body = arrival.body if isinstance(arrival.body, bytes) else arrival.body.read()
        row = self.rows.add(arrival.headers.get("idempotency_key"), body, operation=operation)
        found = self._described.operation(operation)
        assert found is not None
        port, meant = found
        if meant.output is None:
            return Accepted(str(row["n"]))
        reply = self.replies.get(operation) or self._example(operation)
        if reply.fault is not None:
            return Accepted(str(row["n"]), Receipt(500, body=reply.fault))
        value = reply.body
        if value is None or value == {}:
            try:
                value = example(self._described, port, meant.output)
            except Unencodable as error:
                raise Refused(
                    f"the stand-in knows no reply of {operation}: {error.text}",
                    hint=f"give one in `tests:` under `replies: {{{self.name}: {{body: …}}}}`",
                ) from error
        return Accepted(str(row["n"]), Receipt(200, body=value))

    def _example(self, operation: str) -> Reply:
        for use in uses(self._configuration, self._spec.name):
            options: Any = use.options
            if options.call == operation:
                # What `success:` wants is left to the WSDL: a reply made of that alone would not fit it.
                bare = Use(use.route, use.options)
                return reply_to(self._configuration, self._spec.name, bare, "call", operation)
        return Reply()

    def failed_well(self) -> web.Response:
        """A Fault with the status of a success."""
        return self._fault(200, "Server", "the partner was told to fail")

    def refusal(self, status: int, code: str, text: str, headers: dict[str, str] | None = None) -> web.Response:
        """A Fault: Client where it is for good, Server where it is for now."""
        return self._fault(500 if status == 422 else status, "Client" if code == "refused" else "Server", text, headers)

    def _fault(self, status: int, code: Any, text: str, headers: dict[str, str] | None = None) -> web.Response:
        version = self._described.ports[0].version
        envelope = fault_envelope(version, code, text)
        kind = f"{version.media_type}; charset=utf-8"
        return web.Response(status=status, body=written(envelope), headers={**(headers or {}), "Content-Type": kind})
