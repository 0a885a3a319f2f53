"""Asks partners over HTTP and HTTPS: hands messages to them, calls them, and polls them for what is new."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from adapters.http_addresses import header_name, joined, path_of, query_of
from adapters.http_examining import probe_rung, proxy_rung, token_rung, way_rungs
from adapters.http_network import Allow, Mtls, Permissions, Proxy, Tls, TlsFiles, WebAddress, unlisted
from adapters.http_oauth import OAuth2, Tokens
from adapters.http_openapi import Published, operation_at, outline_of
from adapters.http_outbound_auth import Auth, OutboundAuth, credentials
from adapters.http_replies import failure, receipt
from adapters.http_rungs import failed
from adapters.http_transport import HttpTransport, Reply, Request
from pipe import blocking
from pipe.contract import (
    Arrival,
    Blob,
    Certificate,
    ConnectionConfig,
    Door,
    Doors,
    Drift,
    Duration,
    Expression,
    Health,
    Interface,
    Options,
    Outgoing,
    Probe,
    Receipt,
    Rung,
    Services,
    Size,
    Template,
    Timeout,
    turns,
)
from pipe.errors import Busy, PeerFailed, PipeError, ReplyTooLarge, StoreError

Header = Annotated[str, AfterValidator(header_name)]
_DEFAULTS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "pipe-gateway"}
_METHODS = ("get", "post", "put", "patch", "delete")


class HttpDrift(Drift):
    """Watching the OpenAPI document that the partner serves, and the shape of its answers."""

    openapi: Published | None = Field(default=None, description="Which document describes the partner's interface.")


class HttpConfig(ConnectionConfig):
    """A partner's HTTP interface."""

    type: Literal["http_client"] = "http_client"
    url: WebAddress = Field(
        description="Where the partner is; the paths of targets are appended.",
        examples=["https://sms.partner.example/v2"],
    )
    auth: OutboundAuth = Field(default="none", description="How we prove who we are.")
    tls: Tls = Field(default=Tls(), description="How the partner's certificate is checked.")
    proxy: Proxy | None = Field(default=None, description="A forward proxy on the way.")
    allow: Allow | None = Field(
        default=None, description="Where this connection may lead; without it only to the host of `url`."
    )
    max_reply: Size = Field(default=Size(10 << 20), description="Largest answer, counted unpacked.")
    probe: Probe | None = Field(default=None, description="A cheap question that tells whether the partner is there.")
    drift: HttpDrift | Literal[False] = Field(
        default=HttpDrift(),
        description="Whether its document and its answers are what they were; `false`: nobody looks.",
    )

    @property
    def oauth2(self) -> OAuth2 | None:
        """Client credentials, where they are our way."""
        return self.auth.oauth2 if isinstance(self.auth, Auth) else None

    @property
    def mtls(self) -> Mtls | None:
        """Our own certificate, where there is one."""
        return self.auth.mtls if isinstance(self.auth, Auth) else None

    def others(self) -> list[tuple[str, str]]:
        """Addresses beside `url` that this connection leads to, with their keys."""
        token = [("auth.oauth2.token_url", self.oauth2.token_url)] if self.oauth2 else []
        return [*token, *([("proxy.url", self.proxy.url)] if self.proxy else [])]

    @model_validator(mode="after")
    def _all_listed(self) -> HttpConfig:
        if (problem := unlisted(self.allow, self.url, self.others())) is not None:
            raise ValueError(problem)
        if self.proxy and URL(self.proxy.url).scheme != "http":
            raise ValueError(
                "`proxy.url` starts with http://: the way to the proxy is plain, the one to the partner is not"
            )
        return self


class HttpTarget(Options):
    """What is asked: exactly one method with its path, below the path of `url`.

    Each request says `X-Pipe-Message-Id`, the same at every attempt, and from the second attempt on `X-Pipe-Attempt`.
    """

    get: Template | None = Field(default=None, description="Path of a GET; it has no body.")
    post: Template | None = Field(default=None, description="Path of a POST.", examples=["/orders/${body.id}"])
    put: Template | None = Field(default=None, description="Path of a PUT.")
    patch: Template | None = Field(default=None, description="Path of a PATCH.")
    delete: Template | None = Field(default=None, description="Path of a DELETE; it has no body.")
    query: dict[str, Expression] = Field(
        default={}, description="Names and expressions; null leaves a name out, a list repeats it."
    )
    headers: dict[Header, Template] = Field(
        default={}, description="Further headers.", examples=[{"X-Region": "${body.region}"}]
    )

    @model_validator(mode="after")
    def _one_method(self) -> HttpTarget:
        if len([name for name in _METHODS if getattr(self, name) is not None]) != 1:
            raise ValueError("a target has exactly one of get, post, put, patch, delete")
        return self

    @cached_property
    def method(self) -> str:
        """In capitals, as it is sent."""
        return next(name for name in _METHODS if getattr(self, name) is not None).upper()

    @cached_property
    def path(self) -> Template:
        """The template of the one method."""
        path: Template = getattr(self, self.method.lower())
        return path


class HttpSubscription(Options):
    """Polls a path: what it answers is a message, unless it is the same as before."""

    get: str = Field(description="Path below that of `url`, sent as it stands.", examples=["/events?state=new"])
    every: Duration = Field(default=Duration(60), description="Pause between two questions.")
    headers: dict[Header, str] = Field(default={}, description="Further headers.")


class HttpClient:
    """Sink, caller and polling source over HTTP/1.1."""

    Config: ClassVar[type[ConnectionConfig]] = HttpConfig
    Subscription: ClassVar[type[Options]] = HttpSubscription
    Target: ClassVar[type[Options]] = HttpTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    answers: ClassVar[Literal[True]] = True
    refusable: ClassVar[bool] = False

    @classmethod
    def failure(cls, answer: Receipt) -> PipeError | None:
        """What an answer means that a test gives in the partner's place."""
        return failure(answer, 0.0, "the partner")

    def __init__(self, name: str, config: HttpConfig, services: Services) -> None:
        self.name, self.config, self.clock = name, config, services.clock
        self.timeout = config.timeout or services.default_timeout
        self._base = URL(config.url).raw_path
        self._transport = self._to(config.url, config.concurrency)
        self._tokens_at = self._to(config.oauth2.token_url, 1) if config.oauth2 else None
        self._tokens = Tokens(config.oauth2, self._tokens_at, self.clock) if config.oauth2 and self._tokens_at else None
        self._etags: dict[str, str] = {}

    def _permissions(self) -> Permissions:
        return Permissions(self.config.allow, self.config.url, *(address for _, address in self.config.others()))

    def _to(self, origin: str, limit: int) -> HttpTransport:
        config = self.config
        tls = TlsFiles(config.tls, config.mtls)
        return HttpTransport(
            self.name,
            origin,
            permissions=self._permissions(),
            tls=tls,
            limit=limit,
            max_reply=config.max_reply,
            proxy=config.proxy,
        )

    async def open(self) -> None:
        """Reads certificates and makes the pool; asks nobody. Raises TlsFailed, AddressForbidden, SecretMissing."""
        await self._transport.open()
        if self._tokens_at is not None:
            await self._tokens_at.open()

    async def close(self) -> None:
        """Closes every kept connection. Safe before open, safe twice."""
        await self._transport.close()
        if self._tokens_at is not None:
            await self._tokens_at.close()

    async def check(self) -> Health:
        """Asks the probe, with our credentials, where one is configured; else only connects. Never raises."""
        try:
            if self.config.probe is None:
                await self._transport.reach(self.timeout)
                return Health("up")
            reply = await self._probed(self.config.probe.get)
        except PipeError as error:
            return Health("down", error.text, error.code)
        if reply.status < 500:
            return Health("up")
        said = f"the probe {self.config.probe.get} of {self._transport.where} answered {reply.status}"
        return Health("down", said, PeerFailed.code)

    def certificates(self) -> list[Certificate]:
        """The partner's and ours."""
        return self._transport.certificates()

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The way there, our credentials, and the probe where one is configured. Nothing else is asked."""
        config, timeout, pool = self.config, self.timeout, f"doctor {self.name}"
        async for rung in way_rungs(config, config.url, self._permissions(), timeout, pool):
            yield rung
        if rung.state == "fail":
            return
        try:
            await self.open()
            if self.config.proxy is not None:
                yield (rung := await proxy_rung(self._transport, timeout))
            if rung.state != "fail" and self._tokens is not None:
                yield (rung := await token_rung(self._tokens, timeout))
            if rung.state != "fail":
                yield await probe_rung(config, self._probed)
        except PipeError as error:
            yield failed("open", error)
        finally:
            await self.close()

    async def _probed(self, path: str) -> Reply:
        return await self._authorised(Request("GET", joined(self._base, path), dict(_DEFAULTS)), "probe", self.timeout)

    def described_at(self) -> tuple[str, str] | None:
        """The OpenAPI document, where one is configured."""
        published = self.config.drift.openapi if self.config.drift else None
        return None if published is None else ("openapi", self.config.url.rstrip("/") + published.get)

    async def interface(self) -> Interface:
        """The document it serves, read as ours is. Raises what is in the way, ReplyInvalid for no document."""
        published, at = self.config.drift.openapi if self.config.drift else None, self.described_at()
        assert published is not None
        assert at is not None
        reply = await self._probed(published.get)
        self._judged(reply)
        pool = f"openapi {self.name}"
        try:
            served = await blocking.run(pool, outline_of, reply.body, at[1])
        finally:
            blocking.close(pool)
        return Interface("openapi", at[1], served, published.file.outline if published.file is not None else None)

    @staticmethod
    def operation(options: Any, known: Iterable[str]) -> str | None:
        """The one that a target, or a poll, asks for."""
        if isinstance(options, HttpTarget):
            return operation_at(options.method, options.path.text, known)
        return operation_at("GET", options.get, known) if isinstance(options, HttpSubscription) else None

    def natural(self, target: Any) -> bool:
        """GET, PUT and DELETE may be repeated by HTTP's own rules."""
        return target.method in {"GET", "PUT", "DELETE"}

    async def send(self, outgoing: Outgoing) -> Receipt:
        """One exchange; the receipt holds what a 2xx answered. Errors that stand for a status hold it as `reply`."""
        reply = await self._authorised(self._request(outgoing), outgoing.id, outgoing.timeout)
        return self._judged(reply)

    def _judged(self, reply: Reply) -> Receipt:
        """The receipt of a 2xx; else raises what the status stands for."""
        answer, who = receipt(reply), self._transport.where
        error = failure(answer, self.clock.now(), who)
        if error is not None:
            raise error
        if reply.cut is not None:
            raise ReplyTooLarge(f"the answer of {who} was cut: {reply.cut}", reply=answer)
        return answer

    def _request(self, outgoing: Outgoing) -> Request:
        target, message, data = outgoing.target, outgoing.message, outgoing.data
        method = target.method
        headers = {**_DEFAULTS, "X-Pipe-Message-Id": outgoing.id}
        if outgoing.attempt > 1:
            headers["X-Pipe-Attempt"] = str(outgoing.attempt)
        body: bytes | Blob = b""
        if method not in {"GET", "DELETE"}:
            body = message.body or b""
            headers["Content-Type"] = message.content_type or "application/octet-stream"
        if outgoing.key is not None:
            headers["Idempotency-Key"] = outgoing.key
        headers.update(outgoing.trace)
        for name, template in target.headers.items():
            put(headers, name, template.fill(data))
        path = joined(self._base, path_of(target.path, data), query_of(target.query, data) if target.query else "")
        return Request(method, path, headers, body)

    async def _authorised(self, request: Request, request_id: str, timeout: Timeout) -> Reply:
        """One exchange with our credentials; with OAuth a 401 gets one new token and one repetition."""
        headers = request.headers
        if self._tokens is None:
            if self.config.auth != "none":
                for name, value in (await self._credentials(request, request_id)).items():
                    put(headers, name, value)
            return await self._transport.exchange(request, timeout)
        token = await self._tokens.current(timeout)
        put(headers, "Authorization", f"Bearer {token}")
        reply = await self._transport.exchange(request, timeout)
        if reply.status == 401:
            self._tokens.forget(token)
            put(headers, "Authorization", f"Bearer {await self._tokens.current(timeout)}")
            reply = await self._transport.exchange(request, timeout)
        return reply

    async def _credentials(self, request: Request, request_id: str) -> dict[str, str]:
        call = (self.config.auth, request_id, request.body, self.clock.now())
        if isinstance(request.body, Blob):
            return await blocking.run(f"blobs {self.name}", credentials, *call)
        return credentials(*call)

    # --- polling

    async def run(self, doors: Doors) -> None:
        """Polls for every door until cancelled. Raises the PeerError of a partner that is lost."""
        async for door in turns(doors, self.clock):
            try:
                await self._poll(door)
            except Busy as error:
                await self.clock.sleep(error.retry_after or 0)
            except StoreError:
                continue  # not accepted, so not remembered: the next poll brings it again

    async def _poll(self, door: Door) -> None:
        options: HttpSubscription = door.options
        headers = dict(_DEFAULTS)
        for name, value in options.headers.items():
            put(headers, name, value)
        known = self._etags.get(door.route)
        if known is not None:
            headers["If-None-Match"] = known
        target = joined(self._base, options.get)
        reply = await self._authorised(Request("GET", target, headers), f"poll {door.route}", self.timeout)
        if reply.status in {204, 304}:
            return
        self._judged(reply)
        etag = reply.headers.get("ETag")
        await door.accept(_arrival(reply, options.get, etag))
        if etag is not None:
            self._etags[door.route] = etag


def put(headers: dict[str, str], name: str, value: str) -> None:
    """Sets a header, whatever case an earlier one of that name has."""
    for known in headers:
        if known.lower() == name.lower():
            headers[known] = value
            return
    headers[name] = value


def _arrival(reply: Reply, path: str, etag: str | None) -> Arrival:
    answer = receipt(reply)
    version = etag or hashlib.sha256(reply.body).hexdigest()
    return Arrival(
        body=reply.body,
        headers=answer.headers,
        content_type=answer.content_type,
        fingerprint=f"GET {path}",
        identity=f"{path} {version}",
    )
