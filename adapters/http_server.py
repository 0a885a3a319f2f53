"""Receives messages over HTTP: `/pipe` and the route's path; 202 once the message is safe, or the reply itself."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal

import orjson
from aiohttp import web
from multidict import CIMultiDict
from pydantic import Field, field_validator

from adapters.http_accepted import taken, taken_bytes
from adapters.http_auth import AuthConfig, Authenticator
from adapters.http_body import read_body
from adapters.http_fields import OF_THE_HOP, headers_of, public
from adapters.http_paths import Pattern
from adapters.http_rate import CallerRates
from adapters.http_served import caller_rungs, listener_rungs, served_certificates
from adapters.http_surface import Entry, Surface, surface_of
from pipe.contract import (
    Accepted,
    Arrival,
    Blob,
    Certificate,
    ConnectionConfig,
    Door,
    Doors,
    Health,
    Options,
    PlainRequest,
    Rate,
    Receipt,
    Rung,
    Services,
)
from pipe.errors import ConfigError, Draining, NoCredentials

Verb = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_NEVER_ANSWERED = OF_THE_HOP | {"date", "server", "set_cookie", "proxy_authenticate", "www_authenticate"}


class HttpServerConfig(ConnectionConfig):
    """Lets partners send requests to the gateway."""

    type: Literal["http_server"] = "http_server"
    auth: AuthConfig | None = Field(
        default=None, description="How callers prove who they are; a list = any of them; `none` must be written out."
    )
    listener: str | None = Field(default=None, description="Which of `listeners:`; by default the one that serves all.")
    rate: Rate | None = Field(default=None, description="Requests of one caller; past it 429.")


class HttpSubscription(Options):
    """Where a route takes requests."""

    path: str = Field(description="Below `/pipe`.", examples=["/persons/{id}", "/files/{rest:path}"])
    methods: list[Verb] = Field(default=["POST"], min_length=1, description="Which methods it takes.")

    @field_validator("path")
    @classmethod
    def _is_pattern(cls, path: str) -> str:
        if Pattern.parse(path).segments[:1] == ("messages",):
            raise ValueError("path `/messages` is reserved: callers ask there what became of their messages")
        return path

    @functools.cached_property
    def pattern(self) -> Pattern:
        """The path, taken apart."""
        return Pattern.parse(self.path)


class HttpServer:
    """A Source for requests. Many connections share a listener; each knows its own callers."""

    Config: ClassVar[type[ConnectionConfig]] = HttpServerConfig
    Subscription: ClassVar[type[Options]] = HttpSubscription
    refusable: ClassVar[bool] = True

    def __init__(self, name: str, config: HttpServerConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._services = services
        self._auth = Authenticator(name, config.auth or "none", services.clock)
        self._rates = CallerRates(config.rate, services.clock) if config.rate else None
        self._surface: Surface | None = None
        self._serving = False

    @classmethod
    def collides(cls, one: HttpSubscription, other: HttpSubscription) -> bool:
        """Whether two routes of one listener would take the same requests: same shape of path, a method in common."""
        return one.pattern.segments == other.pattern.segments and bool(set(one.methods) & set(other.methods))

    def guarantee(self, options: HttpSubscription) -> Literal["at-least-once"]:
        """What the protocol allows: a caller without an answer sends again."""
        return "at-least-once"

    async def open(self) -> None:
        """Reads the key files. Raises ConfigError, also where it would stand open without `auth: none` written out."""
        if self._config.auth is None and not self._services.secured(self._config.listener):
            raise ConfigError("anybody could call: give it `auth:`, or write `auth: none`", connection=self.name)
        self._auth.prepare()
        self._surface = surface_of(self._services, self._config.listener)

    async def close(self) -> None:
        """Lets the listener go."""
        if self._surface is not None:
            self._surface.remove(self)
            self._surface = None

    async def check(self) -> Health:
        """Up while its routes are served."""
        return Health("up") if self._serving else Health("unknown", "not serving yet")

    def certificates(self) -> list[Certificate]:
        """The listener's."""
        return served_certificates(self._services, self._config.listener)

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The listener, its certificate, and the files that know the callers."""
        async for rung in listener_rungs(self._services, self._config.listener):
            yield rung
        if self._config.auth is None and not self._services.secured(self._config.listener):
            yield Rung("callers", "fail", "anybody could call", "give it `auth:`, or write `auth: none`")
            return
        async for rung in caller_rungs(self._config.auth, self._services):
            yield rung

    async def run(self, doors: Doors) -> None:
        """Serves the doors until cancelled; a change of them takes effect in one step."""
        surface = self._surface
        if surface is None:
            raise ConfigError("run before open", connection=self.name)
        try:
            while True:
                version = doors.version
                surface.put(self, [self._entry(door) for door in doors])
                self._serving = True
                await doors.changed(version)
        finally:
            self._serving = False
            surface.remove(self)

    async def identify(self, request: web.Request) -> str | None:
        """The caller of a request without a body. Raises NoCredentials."""
        proof = await self._auth.identify(request)
        return proof.caller if proof.signature is None else proof.signature.check()

    async def answer(self, request: web.Request, door: Door, params: dict[str, str]) -> web.StreamResponse:
        """Takes one request to its door and tells the caller what came of it."""
        proof = await self._auth.identify(request)
        caller, signature = proof.caller, proof.signature
        if self._rates is not None and signature is None:
            self._rates.spend(caller or request.remote or "")
        observe = signature.feed if signature is not None else None
        body = await read_body(request, door.max_body, self._services, observe)
        identity = None
        if signature is not None:
            caller, identity = self._checked(signature.check), signature.id
            if self._rates is not None:
                self._rates.spend(caller)
        headers = request.headers
        arrival = Arrival(
            body=body,
            headers=headers_of(headers),
            params=params,
            query=_query_of(request) if "?" in request.raw_path else {},
            content_type=headers.get("Content-Type"),
            caller=caller,
            fingerprint=f"{request.method} {request.raw_path}",
            identity=identity,
        )
        if door.synchronous:
            # A caller that hangs up, or a listener that stops, must not cancel a call to a partner half-way.
            return await _reply(request, await asyncio.shield(door.accept(arrival)))
        return taken(request, await door.accept(arrival))

    async def plain(self, request: PlainRequest, door: Door, params: dict[str, str]) -> bytes:
        """The same for a plain request of a route that answers 202: the answer as it is sent."""
        body = request.body
        proof = await self._auth.identify(request)
        caller, signature, identity = proof.caller, proof.signature, None
        if signature is not None:
            signature.feed(body)
            caller, identity = self._checked(signature.check), signature.id
        if self._rates is not None:
            self._rates.spend(caller or request.remote)
        headers = request.headers
        arrival = Arrival(
            body=body,
            headers=public(headers),
            params=params,
            content_type=headers.get("Content-Type"),
            caller=caller,
            fingerprint=f"{request.method} {request.raw_path}",
            identity=identity,
        )
        if door.synchronous:
            raise Draining("the route has just been changed", retry_after=1)
        return taken_bytes(await door.accept(arrival))

    def _checked(self, check: Any) -> str:
        try:
            return str(check())
        except NoCredentials:
            raise self._auth.refusal() from None

    def _entry(self, door: Door) -> Entry:
        options: HttpSubscription = door.options
        return Entry(options.pattern, tuple(options.methods), door, self.answer, self.plain)


async def _reply(request: web.Request, accepted: Accepted) -> web.StreamResponse:
    """The route's own answer."""
    receipt = accepted.reply or Receipt()
    headers = CIMultiDict(_answered(receipt))
    headers["X-Pipe-Message"] = accepted.id
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    status = int(receipt.status) if receipt.status is not None else 200
    if isinstance(receipt.body, Blob):
        return await _streamed(request, receipt.body, status, headers)
    return web.Response(status=status, body=_bytes_of(receipt.body, headers), headers=headers)


async def _streamed(request: web.Request, blob: Blob, status: int, headers: CIMultiDict[str]) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = blob.size
    await response.prepare(request)
    pieces = blob.open()
    while piece := await asyncio.to_thread(next, pieces, b""):
        await response.write(piece)
    await response.write_eof()
    return response


def _answered(receipt: Receipt) -> dict[str, str]:
    """Header fields of the answer: nothing that belongs to one hop, nothing that would break the lines."""
    fields = {
        name.replace("_", "-").title(): value
        for name, value in receipt.headers.items()
        if name.lower().replace("-", "_") not in _NEVER_ANSWERED and value.isprintable() and name.isprintable()
    }
    if receipt.content_type is not None:
        fields["Content-Type"] = receipt.content_type
    return fields


def _bytes_of(body: Any, headers: CIMultiDict[str]) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    headers.setdefault("Content-Type", "application/json")
    return orjson.dumps(body, default=_number)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError


def _query_of(request: web.Request) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in request.query.items():
        query[name] = f"{query[name]},{value}" if name in query else value
    return query
