"""Calls operations of partners over SOAP: values in, values out, every message held against the WSDL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator
from yarl import URL

from adapters.http_network import Allow, Permissions, Proxy, Tls, TlsFiles, WebAddress, unlisted
from adapters.http_oauth import Tokens
from adapters.http_outbound_auth import Auth, credentials
from adapters.http_replies import failure, receipt
from adapters.http_rungs import failed
from adapters.http_transport import HttpTransport, Reply, Request
from adapters.soap.config import Published, WsdlFile, reviewed, service_at
from adapters.soap.examining import partner_rungs, way_rungs
from adapters.soap.faults import failure_of, fault_of
from adapters.soap.fetching import Fetcher, fetched, way_of
from adapters.soap.message import (
    HEADER,
    LARGE,
    Received,
    build,
    check_schema,
    check_understood,
    received,
    values_of,
    weight,
)  # fmt: skip
from adapters.soap.mime import excluded, packed
from adapters.soap.names import SOAP11
from adapters.soap.security import Wsse, check_answer, secured
from adapters.soap.xml import written
from pipe import blocking
from pipe.contract import (
    Blob,
    Certificate,
    ConnectionConfig,
    Drift,
    Expression,
    Health,
    Interface,
    Options,
    Outgoing,
    Receipt,
    Rung,
    Services,
    Size,
    Timeout,
)  # fmt: skip
from pipe.errors import ConfigError, PayloadError, PipeError, ReplyInvalid, ReplyTooLarge, Unencodable, Unreachable

if TYPE_CHECKING:
    from adapters.soap.files import Wsdl
    from adapters.soap.service import Operation, Port, Service

T = TypeVar("T")


class SoapAuth(Auth):
    """How we prove who we are: a way of HTTP, WS-Security, or both."""

    wsse: Wsse | None = Field(default=None, description="WS-Security within the message; may stand beside another.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in ("bearer", "basic", "api_key", "hmac", "oauth2") if getattr(self, name) is not None]
        if len(ways) > 1 or not (ways or self.mtls or self.wsse):
            raise ValueError(
                "`auth` takes at most one of bearer, basic, api_key, hmac, oauth2; wsse and mtls may stand beside it"
            )
        return self


class SoapDrift(Drift):
    """Watching the WSDL that the partner serves, and the shape of its answers."""

    wsdl: Published | Literal[False] | None = Field(
        default=None, description="Where the partner serves its WSDL now; by default where it was pinned from, if that "
        "is allowed, else the address with `?wsdl`. `false`: it is not asked for.",
        examples=["https://registry.partner.example/soap?wsdl"],
    )  # fmt: skip


class SoapConfig(ConnectionConfig):
    """A partner's SOAP service."""

    type: Literal["soap_client"] = "soap_client"
    wsdl: WsdlFile = Field(
        description="The service's WSDL, a local file; `pipe wsdl pin` fetches it.", examples=["wsdl/registry.wsdl"]
    )
    service: str | None = Field(default=None, description="Which service of the WSDL, where it has several.")
    port: str | None = Field(default=None, description="Which port, instead of the first one that has the operation.")
    url: WebAddress | None = Field(
        default=None, description="Where the partner is, instead of where its WSDL says.",
        examples=["https://registry.partner.example/soap"],
    )  # fmt: skip
    auth: SoapAuth | Literal["none"] = Field(default="none", description="How we prove who we are.")
    mtom: bool = Field(default=False, description="Sends large binaries beside the XML (MTOM) instead of within.")
    tls: Tls = Field(default=Tls(), description="How the partner's certificate is checked.")
    proxy: Proxy | None = Field(default=None, description="A forward proxy on the way.")
    allow: Allow | None = Field(
        default=None, description="Where this connection may lead; without it only to the host of its address."
    )
    max_reply: Size = Field(default=Size(10 << 20), description="Largest answer, counted unpacked.")
    drift: SoapDrift | Literal[False] = Field(
        default=SoapDrift(), description="Whether its WSDL and its answers are what they were; `false`: nobody looks."
    )

    @property
    def address(self) -> str:
        """Where the partner is; its validator has seen that there is one."""
        return self.url or self.wsdl.address(self.service, self.port) or ""

    @property
    def http(self) -> Auth | None:
        """Our way of HTTP, where there is one."""
        return self.auth if isinstance(self.auth, Auth) else None

    @property
    def wsse(self) -> Wsse | None:
        """WS-Security, where it is spoken."""
        return self.auth.wsse if isinstance(self.auth, SoapAuth) else None

    def others(self) -> list[tuple[str, str]]:
        """Addresses beside the partner's that this connection leads to, with their keys."""
        oauth2 = self.http.oauth2 if self.http else None
        token = [("auth.oauth2.token_url", oauth2.token_url)] if oauth2 else []
        return [*token, *([("proxy.url", self.proxy.url)] if self.proxy else [])]

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        url = URL(self.address)
        if url.scheme not in {"http", "https"} or not url.host or url.raw_user is not None:
            raise ValueError("its WSDL says no address `https://host/path`: write `url:`")
        if (problem := unlisted(self.allow, self.address, self.others())) is not None:
            raise ValueError(problem)
        if self.proxy and URL(self.proxy.url).scheme != "http":
            raise ValueError(
                "`proxy.url` starts with http://: the way to the proxy is plain, the one to the partner is not"
            )
        return self


class SoapTarget(Options):
    """Which operation is called; the body is its parameters."""

    call: str = Field(description="The operation's name.", examples=["RegisterAppeal"])
    header: dict[str, Expression] = Field(
        default={}, description="Header blocks that the WSDL declares, and what they hold; null leaves one out.",
        examples=[{"userId": "message.caller"}],
    )  # fmt: skip


class SoapClient:
    """Sink and caller over SOAP 1.1 and 1.2."""

    Config: ClassVar[type[ConnectionConfig]] = SoapConfig
    Target: ClassVar[type[Options]] = SoapTarget
    takes: ClassVar[Literal["bytes", "values"]] = "values"
    answers: ClassVar[Literal[True]] = True

    @classmethod
    def failure(cls, answer: Receipt) -> PipeError | None:
        """What an answer means that a test gives in the partner's place."""
        if answer.fault is not None:
            fault = answer.fault if isinstance(answer.fault, dict) else {"code": "Server", "text": str(answer.fault)}
            return failure_of({"code": "Client", "text": "", **fault}, answer, "the partner")
        return failure(answer, 0.0, "the partner") if answer.status is not None else None

    def review(self, config: SoapConfig, options: SoapTarget) -> list[str]:
        """An operation that the WSDL does not have, or a WSDL that cannot be used."""
        return list(reviewed(config.wsdl, config.service, config.port, options.call))

    def __init__(self, name: str, config: SoapConfig, services: Services) -> None:
        self.name, self.config, self.clock = name, config, services.clock
        self._timeout = config.timeout or services.default_timeout
        self._path = URL(config.address).raw_path_qs
        self._transport = self._to(config.address, config.concurrency)
        oauth2 = config.http.oauth2 if config.http else None
        self._tokens_at = self._to(oauth2.token_url, 1) if oauth2 else None
        self._tokens = Tokens(oauth2, self._tokens_at, self.clock) if oauth2 and self._tokens_at else None
        self._service: Service | None = None

    def _permissions(self) -> Permissions:
        config = self.config
        return Permissions(config.allow, config.address, *(address for _, address in config.others()))

    def _to(self, origin: str, limit: int) -> HttpTransport:
        config = self.config
        return HttpTransport(
            self.name,
            origin,
            permissions=self._permissions(),
            tls=TlsFiles(config.tls, config.http.mtls if config.http else None),
            limit=limit,
            max_reply=config.max_reply,
            proxy=config.proxy,
        )

    def certificates(self) -> list[Certificate]:
        """The partner's and ours."""
        return self._transport.certificates()

    async def open(self) -> None:
        """Reads the WSDL and the certificates; asks nobody. Raises ConfigError, TlsFailed, AddressForbidden."""
        config = self.config
        self._service = await blocking.run(self._pool, service_at, config.wsdl, config.service, config.port)
        await self._transport.open()
        if self._tokens_at is not None:
            await self._tokens_at.open()

    async def close(self) -> None:
        """Closes every kept connection. Safe before open, safe twice."""
        self._service = None
        await self._transport.close()
        if self._tokens_at is not None:
            await self._tokens_at.close()
        blocking.close(self._pool)

    async def check(self) -> Health:
        """Only connects: an operation might have effects. Never raises."""
        if self._service is None:
            return Health("unknown", "its WSDL has not been read yet")
        try:
            await self._transport.reach(self._timeout)
        except PipeError as error:
            return Health("down", error.text, error.code)
        return Health("up")

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The way there, the WSDL, the operations that routes call, and our credentials. Calls nothing."""
        config, timeout = self.config, self._timeout
        async for rung in way_rungs(config, self._permissions(), timeout, f"doctor {self.name}"):
            yield rung
            if rung.state == "fail":
                return
        try:
            await self._transport.open()
            if self._tokens_at is not None:
                await self._tokens_at.open()
            async for rung in partner_rungs(config, self._transport, self._tokens, timeout, uses):
                yield rung
        except PipeError as error:
            yield failed("open", error)
        finally:
            await self.close()

    def described_at(self) -> tuple[str, str] | None:
        """The WSDL that the partner serves."""
        drift, pinned = self.config.drift, self.config.wsdl.origin
        if drift is False or drift.wsdl is False:
            return None
        if drift.wsdl is None and pinned and self._permissions().host(URL(pinned).host or ""):
            return "wsdl", pinned
        return "wsdl", drift.wsdl or str(URL(self.config.address).with_query("wsdl"))

    async def interface(self) -> Interface:
        """What it serves, read as ours is. Raises what stands in the way, and ReplyInvalid where it is of no use."""
        at, config = self.described_at(), self.config
        assert at is not None
        token = partial(self._tokens.current, self._timeout) if self._tokens is not None else None
        fetcher = Fetcher(way_of(config, config.address, config.http), self.clock, self._timeout, token)
        try:
            served = await fetched(at[1], fetcher)
        finally:
            await fetcher.close()
        return await blocking.run(self._pool, self._compared, at[1], served)

    def _compared(self, where: str, served: Wsdl) -> Interface:
        from adapters.soap.outline import outline  # what it imports is slow to import

        config = self.config
        ours = service_at(config.wsdl, config.service, config.port)
        try:
            theirs = service_at(served, config.service, config.port)
        except ConfigError as error:
            raise ReplyInvalid(f"the WSDL at {where} cannot be used: {error.text}") from error
        known = outline(config.wsdl, ours)
        return Interface("wsdl", where, outline(served, theirs, ours), known, strict=True)

    @staticmethod
    def operation(options: Any, known: Iterable[str]) -> str | None:
        """The one that a target calls."""
        return options.call if isinstance(options, SoapTarget) and options.call in known else None

    def natural(self, target: Any) -> bool:
        """SOAP does not say of any operation that it may be repeated."""
        return False

    async def send(self, outgoing: Outgoing) -> Receipt:
        """One call. Raises Unencodable before anything leaves; a fault is an error that holds it as `reply.fault`."""
        if self._service is None:
            raise Unreachable(f"the connection {self.name} is closed")
        found = self._service.operation(outgoing.target.call)
        if found is None:
            raise Unencodable(f"service `{self._service.name}` has no operation `{outgoing.target.call}`")
        service, (port, operation) = self._service, found
        value = self._value(outgoing)
        wsse = self.config.wsse
        apart = weight(value) > LARGE or (wsse is not None and wsse.sign is not None)
        body, kind = await self._worked(apart, self._request, service, port, operation, value, apart)
        headers = {"Content-Type": kind, "Accept": "*/*", "Accept-Encoding": "gzip, deflate",
                   "User-Agent": "pipe-gateway", "X-Pipe-Message-Id": outgoing.id}  # fmt: skip
        if port.version is SOAP11:
            headers["SOAPAction"] = f'"{operation.action}"'
        if outgoing.key is not None:
            headers["Idempotency-Key"] = outgoing.key
        headers.update(outgoing.trace)
        reply = await self._exchange(Request("POST", self._path, headers, body), outgoing)
        apart = len(reply.body) > LARGE or (wsse is not None and wsse.verify is not None)
        return await self._worked(apart, self._answer, service, operation, reply, apart)

    def _value(self, outgoing: Outgoing) -> Any:
        value = outgoing.message.body
        if isinstance(value, (bytes, Blob)):
            if not isinstance(value, Blob) and not value:
                value = {}
            else:
                raise Unencodable("a SOAP call takes values, and the body is bytes: decode it first", path="body")
        filled = {name: each(outgoing.data) for name, each in outgoing.target.header.items()}
        if not filled:
            return value
        own = value if isinstance(value, dict) else {"#text": value}
        return {**own, HEADER: {**(own.get(HEADER) or {}), **filled}}

    # --- in a thread, where the message is large

    def _request(
        self, service: Service, port: Port, operation: Operation, value: Any, apart: bool
    ) -> tuple[bytes, str]:
        built = build(service, port.version, operation.input, value, service.validator(apart=apart))
        if self.config.wsse is not None:
            secured(built.envelope, port.version, self.config.wsse, self.clock.now())
        parts = excluded(built.binaries) if self.config.mtom else ()
        return packed(
            written(built.envelope), port.version, operation.action, [*parts, *built.attachments],
            mtom=self.config.mtom,
        )  # fmt: skip

    def _answer(self, service: Service, operation: Operation, reply: Reply, apart: bool) -> Receipt:
        """The receipt of an answer that is good. Raises what it means where it is not."""
        answer, who = receipt(reply), self._transport.where
        validator = service.validator(apart=apart)
        message = self._envelope(reply)
        if message is not None and message.fault is not None:
            fault = fault_of(message, operation, service, validator)
            raise failure_of(fault, answer._replace(body=None, fault=fault), who)
        error = failure(answer, self.clock.now(), who)
        if error is not None:
            raise error
        if reply.cut is not None:
            raise ReplyTooLarge(f"the answer of {who} was cut: {reply.cut}", reply=answer)
        if operation.output is None:
            return answer._replace(body=None)
        if message is None:
            raise ReplyInvalid(f"{who} answered {reply.status} with something that is no SOAP envelope", reply=answer)
        try:
            check_understood(message, operation.output, security=self.config.wsse is not None)
            if self.config.wsse is not None:
                check_answer(message, self.config.wsse, self.clock.now(), who)
            check_schema(message, validator)
            return answer._replace(body=values_of(message, operation.output, service))
        except PayloadError as problem:
            raise ReplyInvalid(f"the answer of {who} cannot be used: {problem.text}", reply=answer) from problem
        except ReplyInvalid as problem:
            problem.reply = answer
            raise

    def _envelope(self, reply: Reply) -> Received | None:
        if not reply.body or reply.cut is not None:
            return None
        try:
            return received(reply.body, reply.headers.get("Content-Type", "text/xml"))
        except PayloadError:
            return None

    # --- the exchange

    async def _exchange(self, request: Request, outgoing: Outgoing) -> Reply:
        """One exchange with our credentials of HTTP; with OAuth a 401 gets one new token and one repetition."""
        http, headers, timeout = self.config.http, request.headers, outgoing.timeout
        if self._tokens is None:
            if http is not None:
                headers.update(credentials(http, outgoing.id, request.body, self.clock.now()))
            return await self._transport.exchange(request, timeout)
        token = await self._bearer(headers, timeout)
        reply = await self._transport.exchange(request, timeout)
        if reply.status == 401:
            assert self._tokens is not None
            self._tokens.forget(token)
            await self._bearer(headers, timeout)
            reply = await self._transport.exchange(request, timeout)
        return reply

    async def _bearer(self, headers: dict[str, str], timeout: Timeout) -> str:
        assert self._tokens is not None
        token = await self._tokens.current(timeout)
        headers["Authorization"] = f"Bearer {token}"
        return token

    async def _worked(self, large: bool, function: Callable[..., T], *args: Any) -> T:
        return await blocking.run(self._pool, function, *args) if large else function(*args)

    @property
    def _pool(self) -> str:
        return f"soap {self.name}"
