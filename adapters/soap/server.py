"""Serves a WSDL at `/soap/NAME`, an operation a route; every request and every reply is held against the schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

from aiohttp import web
from pydantic import Discriminator, Field, Tag, model_validator

from adapters.http_auth import Authenticator, Method
from adapters.http_body import read_body
from adapters.http_fields import headers_of
from adapters.http_rate import CallerRates
from adapters.http_served import caller_rungs, listener_rungs, served_certificates
from adapters.soap.answers import Answers
from adapters.soap.callers import CallerCheck, WsseUsers, used_before
from adapters.soap.config import WsdlFile, reviewed, service_at
from adapters.soap.examining import served_rungs, wsse_rungs
from adapters.soap.keeping import kept
from adapters.soap.message import LARGE, Received, build, check_schema, check_understood, received, values_of
from adapters.soap.published import published
from adapters.soap.replies import written_values
from adapters.soap.security import Wsse
from pipe import blocking
from pipe.contract import (
    Arrival,
    Blob,
    Certificate,
    ConnectionConfig,
    Door,
    Doors,
    Duration,
    Health,
    Options,
    Rate,
    Rung,
    Services,
)  # fmt: skip
from pipe.errors import (
    BadRequest,
    ConfigError,
    MethodNotAllowed,
    NoCredentials,
    NotFound,
    PayloadError,
    PipeError,
    TooLarge,
    Unencodable,
    WrongMediaType,
)  # fmt: skip

if TYPE_CHECKING:
    from adapters.soap.service import Operation, Port, Service

T = TypeVar("T")
SIGNED_FOR = 300
"""seconds that a signed answer is good for"""
PREFIX = "/soap"
_TAKEN = {"text/xml", "application/soap+xml", "application/xml"}


class SoapMethod(Method):
    """One way to prove who calls: one of HTTP, or WS-Security."""

    wsse: WsseUsers | None = Field(default=None, description="WS-Security within the message.")

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1 or None in (getattr(self, name) for name in self.model_fields_set):
            raise ValueError(f"name exactly one of: {', '.join(SoapMethod.model_fields)}; several ways are a list")
        return self


def _shape(value: Any) -> str:
    if isinstance(value, str):
        return "none"
    return "several" if isinstance(value, (list, tuple)) else "one"


SoapAuthConfig = Annotated[
    Annotated[Literal["none"], Tag("none")]
    | Annotated[SoapMethod, Tag("one")]
    | Annotated[list[SoapMethod], Field(min_length=1), Tag("several")],
    Discriminator(_shape),
]


class SoapServerConfig(ConnectionConfig):
    """Lets partners call operations of a WSDL at `/soap/` and the connection's name."""

    type: Literal["soap_server"] = "soap_server"
    wsdl: WsdlFile = Field(description="The WSDL that is served, a local file.", examples=["wsdl/appeals.wsdl"])
    service: str | None = Field(default=None, description="Which service of the WSDL, where it has several.")
    port: str | None = Field(default=None, description="Only this port; without it every SOAP port of the service.")
    auth: SoapAuthConfig | None = Field(
        default=None, description="How callers prove who they are; a list = any of them; `none` must be written out."
    )
    listener: str | None = Field(default=None, description="Which of `listeners:`; by default the one that serves all.")
    rate: Rate | None = Field(default=None, description="Requests of one caller; past it a fault.")


class SoapSubscription(Options):
    """Which operation a route takes."""

    operation: str = Field(description="The operation's name.", examples=["RegisterAppeal"])


class SoapServer:
    """Source for calls over SOAP 1.1 and 1.2; a two-way operation is answered by its route."""

    Config: ClassVar[type[ConnectionConfig]] = SoapServerConfig
    Subscription: ClassVar[type[Options]] = SoapSubscription
    refusable: ClassVar[bool] = True
    hands: ClassVar[Literal["values"]] = "values"
    own_paths: ClassVar[bool] = True

    def guarantee(self, options: SoapSubscription) -> Literal["at-least-once"]:
        """What the protocol allows: a caller without an answer sends again."""
        return "at-least-once"

    def synchronous(self, config: SoapServerConfig, options: SoapSubscription) -> bool:
        """Whether the operation has an output."""
        return config.wsdl.two_way.get(options.operation, False)

    def review(self, config: SoapServerConfig, options: SoapSubscription) -> list[str]:
        """An operation that the WSDL does not have, or a WSDL that cannot be used."""
        return list(reviewed(config.wsdl, config.service, config.port, options.operation))

    def __init__(self, name: str, config: SoapServerConfig, services: Services) -> None:
        self.name, self._config, self._services = name, config, services
        auth = config.auth
        methods = auth if isinstance(auth, list) else [auth] if isinstance(auth, SoapMethod) else []
        http: list[Any] = [method for method in methods if method.wsse is None]
        self._http = http
        tokens = [method.wsse for method in methods if method.wsse is not None]
        self._auth = Authenticator(name, http or "none", services.clock)
        self._by_http = bool(http) or not tokens
        self._tokens = [CallerCheck(name, wsse, services.clock) for wsse in tokens]
        signs = next((each.sign for each in tokens if each.sign is not None), None)
        self._security = Wsse(sign=signs, timestamp=Duration(SIGNED_FOR)) if signs is not None else None
        self._rates = CallerRates(config.rate, services.clock) if config.rate else None
        self._service: Service | None = None
        self._doors: dict[str, Door] = {}

    async def open(self) -> None:
        """Reads the WSDL and the key files. Raises ConfigError, also where it would stand open without `auth: none`."""
        config = self._config
        if config.auth is None and not self._services.secured(config.listener):
            raise ConfigError("anybody could call: give it `auth:`, or write `auth: none`", connection=self.name)
        self._auth.prepare()
        for check in self._tokens:
            check.prepare()
        self._service = await blocking.run(self._pool, service_at, config.wsdl, config.service, config.port)

    async def close(self) -> None:
        """Lets the WSDL go."""
        self._service = None
        blocking.close(self._pool)

    def certificates(self) -> list[Certificate]:
        """The listener's."""
        return served_certificates(self._services, self._config.listener)

    async def check(self) -> Health:
        """Up once its WSDL is read: whoever calls comes by himself."""
        return Health("up") if self._service is not None else Health("unknown", "its WSDL has not been read yet")

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The listener, the WSDL, the operations that routes take, and the files that know the callers."""
        config = self._config
        async for rung in listener_rungs(self._services, config.listener):
            yield rung
            if rung.state == "fail":
                return
        async for rung in served_rungs(config.wsdl, config.service, config.port, uses):
            yield rung
            if rung.state == "fail":
                return
        if config.auth is None and not self._services.secured(config.listener):
            yield Rung("callers", "fail", "anybody could call", "give it `auth:`, or write `auth: none`")
            return
        ways: Any = self._http or ("none" if not self._tokens else [])
        async for rung in caller_rungs(ways, self._services):
            yield rung
        async for rung in wsse_rungs(self._tokens):
            yield rung

    async def run(self, doors: Doors) -> None:
        """Serves the doors until cancelled; a change of them takes effect in one step."""
        if self._service is None:
            raise ConfigError("run before open", connection=self.name)
        unmount = None
        try:
            while True:
                version = doors.version
                self._doors = {door.options.operation: door for door in doors}
                self._refuse_unanswered(self._service)
                unmount = unmount or self._services.mount(self._config.listener, f"{PREFIX}/{self.name}", self.handle)
                await doors.changed(version)
        finally:
            if unmount is not None:
                unmount()
            self._doors = {}

    def _refuse_unanswered(self, service: Service) -> None:
        """An operation with an output that is not empty needs a route that answers."""
        for name, door in self._doors.items():
            found = service.operation(name)
            if found is None:
                raise ConfigError(f"service `{service.name}` has no operation `{name}`", connection=self.name)
            port, operation = found
            if operation.output is None or door.synchronous:
                continue
            try:
                build(service, port.version, operation.output, {}, service.small)
            except Unencodable as error:
                text = f"`{name}` has an output, so route `{door.route}` must be `reply: sync`"
                raise ConfigError(text, connection=self.name) from error

    # --- one request

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; failures are SOAP faults."""
        service = self._service
        if service is None:
            raise NotFound("nothing is served at this address")
        if request.method == "GET" and "wsdl" in {name.lower() for name in request.query}:
            return self._published(request)
        answers = Answers(service, self._pool, self._security, self._services.clock)
        try:
            if request.method != "POST":
                raise MethodNotAllowed("calls are POST; GET with ?wsdl gives the WSDL", allow="GET, POST")
            return await self._answer(request, service, answers)
        except PipeError as error:
            return await answers.refusal(error)

    async def _answer(self, request: web.Request, service: Service, answers: Answers) -> web.StreamResponse:
        caller = await self._known_by_http(request)
        limit = max((door.max_body for door in self._doors.values()), default=0)
        signature = None if caller is None else caller[1]
        raw = await read_body(request, limit, self._services, None if signature is None else signature.feed)
        body = await blocking.run(self._pool, raw.read) if isinstance(raw, Blob) else raw
        name = caller[0] if caller else None
        if signature is not None:
            name = signature.check()
        apart = len(body) > LARGE
        message = await self._worked(apart, received, body, request.headers.get("Content-Type", ""))
        answers.version, answers.mtom = message.version, message.package.mtom
        if message.package.media_type not in _TAKEN:
            raise WrongMediaType("a SOAP message is text/xml, application/soap+xml or multipart/related of these")
        once = None
        if caller is None:
            name, once = await self._known_by_message(message)
        answers.known = True
        wire = kept(body, request.headers.get("Content-Type", ""), message)
        if self._rates is not None:
            self._rates.spend(name or request.remote or "")
        operation, door = self._meant(service, message, request)
        answers.operation = operation
        if len(body) > door.max_body:
            raise TooLarge(f"the body has {len(body)} bytes, the limit is {door.max_body}")
        values = await self._worked(apart, self._values, service, operation, message, apart)
        arrival = Arrival(
            body=await self._stored(values),
            headers={name: value for name, value in headers_of(request.headers).items() if name != "content_type"},
            content_type="application/json",
            caller=name,
            fingerprint=f"SOAP {operation.name}",
            identity=None if signature is None else signature.id,
            once=once,
            wire=wire,
        )
        try:
            if operation.output is None:
                await door.accept(arrival)
                return web.Response(status=202)
            # A caller that hangs up, or a listener that stops, must not cancel a call to a partner half-way.
            accepted = await (asyncio.shield(door.accept(arrival)) if door.synchronous else door.accept(arrival))
        except NoCredentials as error:
            raise used_before() from error
        return await answers.reply(accepted)

    async def _known_by_http(self, request: web.Request) -> tuple[str | None, Any] | None:
        """Caller and signature; None where the message itself must tell. Raises NoCredentials."""
        if not self._by_http:
            return None
        try:
            proof = await self._auth.identify(request)
        except NoCredentials:
            if self._tokens:
                return None
            raise
        return proof.caller, proof.signature

    async def _known_by_message(self, message: Received) -> tuple[str, str | None]:
        refusal: NoCredentials | None = None
        for check in self._tokens:
            try:
                return await check.caller_of(message)
            except NoCredentials as error:
                refusal = error
        assert refusal is not None
        raise refusal

    def _meant(self, service: Service, message: Received, request: web.Request) -> tuple[Operation, Door]:
        """The operation that is called, and its door."""
        port: Port | None = service.port(message.version)
        if port is None:
            raise WrongMediaType(f"SOAP {message.version.name} is not spoken here", soap="VersionMismatch")
        action = (request.headers.get("SOAPAction") or message.package.action or "").strip().strip('"')
        first = message.first
        operation = port.meant("" if first is None else first.tag, action)
        if operation is None:
            raise BadRequest(f"no operation begins with {'an empty Body' if first is None else first.tag}"[:300])
        if action and action != operation.action and operation.action:
            raise BadRequest(f"the action is {action[:200]!r}, and that of {operation.name} is {operation.action!r}")
        check_understood(message, operation.input, security=bool(self._tokens))
        door = self._doors.get(operation.name)
        if door is None:
            raise NotFound(f"operation {operation.name} is not served here")
        return operation, door

    def _values(self, service: Service, operation: Operation, message: Received, apart: bool) -> bytes:
        check_schema(message, service.validator(apart=apart))
        try:
            return written_values(values_of(message, operation.input, service))
        except TypeError as error:  # orjson: what JSON cannot say
            raise PayloadError(f"the message holds what cannot be kept: {error}") from error

    async def _stored(self, values: bytes) -> bytes | Blob:
        if len(values) <= LARGE:
            return values
        spool = self._services.spool(len(values))
        try:
            await spool.write(values)
            return await spool.finish()
        except BaseException:
            spool.discard()
            raise

    async def _worked(self, apart: bool, function: Callable[..., T], *args: Any) -> T:
        return await blocking.run(self._pool, function, *args) if apart else function(*args)

    def _published(self, request: web.Request) -> web.Response:
        asked = next(value for name, value in request.query.items() if name.lower() == "wsdl")
        if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 5):
            raise NotFound("the WSDL has no such document")
        raw = published(self._config.wsdl, int(asked or 0), f"{request.url.origin()}{request.rel_url.raw_path}")
        if raw is None:
            raise NotFound("the WSDL has no such document")
        return web.Response(body=raw, content_type="text/xml", charset="utf-8")

    @property
    def _pool(self) -> str:
        return f"soap {self.name}"
