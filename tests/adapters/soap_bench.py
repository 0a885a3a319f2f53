"""What the SOAP tests share: WSDLs, a service served on a real listener, a client that leads to an address."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from adapters.soap.client import SoapClient, SoapConfig, SoapTarget
from adapters.soap.files import Wsdl, read_wsdl
from adapters.soap.reading import service_of
from adapters.soap.server import SoapServer, SoapServerConfig, SoapSubscription
from adapters.soap.service import Service
from pipe.clock import SystemClock
from pipe.config.models import Listener
from pipe.contract import Accepted, Arrival, Clock, Duration, Message, Outgoing, Receipt, Timeout
from pipe.errors import PipeError
from pipe.testing import FakeServices as PlainServices
from tests.adapters.http_server_gateway import FakeDoors, FakeServices
from web.listener import Listeners

FOLDER = Path(__file__).parent / "wsdl"
ID = "01hzx3k9q2v7m4n8p6r5t0w1ya"
PATIENT = Timeout(connect=Duration(5), read=Duration(5), total=Duration(10))
T = "urn:example:appeals:types"
APPEAL = {"id": "1", "applicant": {"name": {"#text": "Олена"}}, "phone": "+380671234567", "due": None}


def reader(folder: Path = FOLDER) -> Callable[[str], str]:
    """Reads files as the configuration's loader does."""

    def read(path: str) -> str:
        try:
            return (folder / path).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"`{path}` cannot be read: {error.strerror}") from None

    return read


def wsdl(path: str, folder: Path = FOLDER) -> Wsdl:
    """A WSDL of this folder."""
    return read_wsdl(path, reader(folder))


def service(path: str, name: str | None = None, port: str | None = None) -> Service:
    """Its service."""
    return service_of(wsdl(path), name, port)


def envelope(body: str, version: str = "1.1", header: str = "") -> bytes:
    """An envelope written by hand."""
    spaces = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{spaces[version]}">'
        f"{f'<s:Header>{header}</s:Header>' if header else ''}<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


# --- a server of ours


Answer = Any | PipeError | Callable[[Arrival], Any]


class Door:
    """One route's entrance: remembers values, answers as it is told."""

    def __init__(self, operation: str, answer: Answer = None, *, max_body: int = 10 << 20) -> None:
        """`answer` are values (None: the route is asynchronous), a Receipt, an error, or a function of the arrival."""
        self.route, self.options = operation, SoapSubscription(operation=operation)
        self.answer, self.max_body = answer, max_body
        self.arrivals: list[Arrival] = []

    @property
    def synchronous(self) -> bool:
        """Whether it answers."""
        return self.answer is not None

    @property
    def values(self) -> list[Any]:
        """What arrived, as a route decodes it."""
        return [orjson.loads(a.body if isinstance(a.body, bytes) else a.body.read()) for a in self.arrivals]

    async def accept(self, arrival: Arrival) -> Accepted:
        """As told."""
        self.arrivals.append(arrival)
        answer = self.answer(arrival) if callable(self.answer) else self.answer
        if isinstance(answer, Awaitable):
            answer = await answer
        if isinstance(answer, PipeError):
            raise answer
        if answer is None or isinstance(answer, Accepted):
            return answer or Accepted(ID)
        receipt = answer if isinstance(answer, Receipt) else Receipt(200, body=orjson.dumps(answer))
        return Accepted(ID, receipt)


@dataclass
class Served:
    """A running SOAP server."""

    services: FakeServices
    server: SoapServer
    doors: FakeDoors
    client: aiohttp.ClientSession
    address: str

    async def post(
        self, body: bytes, kind: str = "text/xml; charset=utf-8", action: str | None = None, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, header and body of the answer."""
        fields = {"Content-Type": kind, **({} if action is None else {"SOAPAction": f'"{action}"'}), **headers}
        async with self.client.post(self.address, data=body, headers=fields) as answer:
            return answer.status, answer.headers, await answer.read()

    async def get(self, query: str) -> tuple[int, bytes]:
        """Status and body."""
        async with self.client.get(f"{self.address}{query}") as answer:
            return answer.status, await answer.read()


@contextlib.asynccontextmanager
async def serving(
    *doors: Door, path: str = "appeals.wsdl", config: Mapping[str, Any] | None = None, clock: Clock | None = None,
    listener: Listener | None = None, other: str | None = None,
) -> AsyncIterator[Served]:  # fmt: skip
    """Serves a WSDL on a port of its own; `other` names the listener that it is mounted on."""
    name = other or "public"
    listeners = Listeners({"first": Listener(address="127.0.0.1:0"), name: listener or Listener(address="127.0.0.1:0")}
                          if other else {name: listener or Listener(address="127.0.0.1:0")})  # fmt: skip
    services = FakeServices(listeners, clock or SystemClock())
    settings = {"type": "soap_server", "auth": "none", "wsdl": wsdl(path), **(config or {})}
    server = SoapServer("legacy", SoapServerConfig.model_validate(settings), services)
    served: Any = FakeDoors(*doors)  # type: ignore[arg-type]
    await listeners.start()
    await server.open()
    running = asyncio.create_task(server.run(served))
    await asyncio.sleep(0)
    host, port = listeners.addresses()[name]
    scheme = "https" if listener is not None and listener.tls is not None else "http"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client:
            yield Served(services, server, served, client, f"{scheme}://{host}:{port}/soap/legacy")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()
        await listeners.stop(grace=1)


# --- a partner of ours, written by hand


@dataclass
class Partner:
    """Answers whatever comes with bytes that a test wrote, and remembers what came."""

    status: int = 200
    body: bytes = b""
    kind: str = "text/xml; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    address: str = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """As told."""
        self.requests.append((request.headers.copy(), await request.read()))
        return web.Response(status=self.status, body=self.body, headers={"Content-Type": self.kind, **self.headers})


@contextlib.asynccontextmanager
async def partner(*, tls: ssl.SSLContext | None = None, **keys: Any) -> AsyncIterator[Partner]:
    """A partner on a port of its own."""
    made = Partner(**keys)
    runner = web.ServerRunner(web.Server(made.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        made.address = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/soap"
        yield made
    finally:
        await runner.cleanup()


def client_config(address: str, path: str = "appeals.wsdl", **keys: Any) -> SoapConfig:
    """A connection that leads there."""
    keys.setdefault("wsdl", wsdl(path))
    return SoapConfig.model_validate({"type": "soap_client", "url": address, **keys})


@contextlib.asynccontextmanager
async def calling(
    address: str, path: str = "appeals.wsdl", clock: Clock | None = None, **keys: Any
) -> AsyncIterator[SoapClient]:
    """An open client."""
    made = SoapClient("registry", client_config(address, path, **keys), PlainServices(clock or SystemClock()))
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def outgoing(call: str, body: Any, **more: Any) -> Outgoing:
    """One attempt to call an operation."""
    target = SoapTarget.model_validate({"call": call, **more.pop("target", {})})
    fields = {name: more.pop(name) for name in ("key", "idempotent") if name in more}
    message = Message(id="m-1", route="r", body=body, **more)
    return Outgoing(message=message, target=target, id="d-1", attempt=1, timeout=PATIENT, **fields)


async def called(address: str, call: str, body: Any, path: str = "appeals.wsdl", **keys: Any) -> Receipt:
    """What one call with a fresh client brings."""
    async with calling(address, path, **keys) as client:
        return await client.send(outgoing(call, body))
