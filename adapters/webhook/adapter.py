"""The adapter: receives at `/hooks/NAME` once the signature is right and the message is safe; sends signed requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import orjson
from aiohttp import web

from adapters.http_body import read_body
from adapters.http_fields import headers_of
from adapters.http_outbound_auth import signature_of
from adapters.http_replies import failure, receipt
from adapters.http_rungs import failed
from adapters.http_served import listener_rungs, served_certificates
from adapters.http_signature import Signature, secrets_of
from adapters.webhook import slack
from adapters.webhook.config import WebhookConfig, WebhookSubscription, WebhookTarget, reviewed
from adapters.webhook.way import Way
from pipe.contract import (
    Arrival,
    Blob,
    Certificate,
    ConnectionConfig,
    Door,
    Doors,
    Health,
    Options,
    Outgoing,
    Receipt,
    Rung,
    Services,
)
from pipe.errors import (
    ConfigError,
    MappingFailed,
    MethodNotAllowed,
    NoCredentials,
    NotAuthorised,
    NotFound,
    PipeError,
    Unreachable,
)

PREFIX = "/hooks"


class Webhook:
    """Source and sink."""

    Config: ClassVar[type[ConnectionConfig]] = WebhookConfig
    Subscription: ClassVar[type[Options]] = WebhookSubscription
    Target: ClassVar[type[Options]] = WebhookTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    refusable: ClassVar[bool] = True

    def __init__(self, name: str, config: WebhookConfig, services: Services) -> None:
        self.name, self.config, self._services = name, config, services
        self._timeout = config.timeout or services.default_timeout
        self._way = Way(name, config, config.url) if config.url is not None else None
        self._doors: dict[str, Door] = {}
        self._serving = False

    # --- what the configuration asks

    def review(self, config: WebhookConfig, options: Any) -> list[str]:
        """Uses that the connection is not made for."""
        return reviewed(config, options)

    def guarantee(self, options: WebhookSubscription) -> Literal["at-least-once"]:
        """Whoever gets no 2xx sends again."""
        return "at-least-once"

    def natural(self, target: WebhookTarget) -> bool:
        """Standard Webhooks has receivers know a repetition by its id; Slack would post it again."""
        return target.text is None and target.blocks is None

    # --- life

    async def open(self) -> None:
        """Reads the secrets and the TLS files; asks nobody. Raises ConfigError, SecretMissing, TlsFailed."""
        if self.config.secret is not None:
            self._secrets()
        if self._way is not None:
            await self._way.open()

    async def close(self) -> None:
        """Lets connections go. Safe before open, safe twice."""
        if self._way is not None:
            await self._way.close()

    async def check(self) -> Health:
        """Connects where something is sent; else up while it serves. Never raises."""
        if self._way is None:
            return Health("up") if self._serving else Health("unknown", "not serving yet")
        try:
            await self._way.reach(self._timeout)
        except PipeError as error:
            return Health("down", error.text, error.code)
        return Health("up")

    def certificates(self) -> list[Certificate]:
        """The receiver's and ours, and the listener's where webhooks come in."""
        found = served_certificates(self._services, self.config.listener) if self._serving else []
        return [*(self._way.certificates() if self._way is not None else []), *found]

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """The secrets; the listener where webhooks come in; the way where they go out. Nothing is posted."""
        if self.config.secret is not None:
            try:
                count = len(self._secrets())
            except PipeError as error:
                yield failed("secret", error)
                return
            yield Rung("secret", "ok", f"{count} live secret{'s' if count > 1 else ''}")
        if any(isinstance(use, WebhookSubscription) for use in uses):
            async for rung in listener_rungs(self._services, self.config.listener):
                yield rung
            if rung.state == "fail":
                return
        if self._way is not None:
            async for rung in self._way.rungs(self._timeout):
                yield rung

    def _secrets(self) -> list[bytes]:
        return [word for secret in self.config.secrets for word in secrets_of(secret.reveal())]

    # --- receiving

    async def run(self, doors: Doors) -> None:
        """Serves the doors until cancelled."""
        if self.config.secret is None:
            raise ConfigError("nothing can be received without a `secret`", connection=self.name)
        prefix = f"{PREFIX}/{self.name}"
        unmount: Callable[[], None] = self._services.mount(self.config.listener, prefix, self._receive)
        try:
            while True:
                version = doors.version
                self._doors = {door.options.path: door for door in doors}
                self._serving = True
                await doors.changed(version)
        finally:
            self._serving, self._doors = False, {}
            unmount()

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        """Takes one webhook. Raises what the listener tells the sender."""
        path = request.rel_url.raw_path.removeprefix(f"{PREFIX}/{self.name}").rstrip("/")
        door = self._doors.get(path)
        if door is None:
            raise NotFound("no route takes webhooks at this address")
        if request.method != "POST":
            raise MethodNotAllowed("webhooks are posted", allow="POST")
        secrets = [(self.name, secret) for secret in self._secrets()]
        signature = Signature(request.headers, secrets, self._services.clock.now())
        body = await read_body(request, door.max_body, self._services, signature.feed)
        try:
            caller = signature.check()
        except NoCredentials:
            if isinstance(body, Blob):
                body.path.unlink(missing_ok=True)
            raise
        arrival = Arrival(
            body=body,
            headers={name: value for name, value in headers_of(request.headers).items() if name != "webhook_signature"},
            content_type=request.headers.get("Content-Type"),
            caller=caller,
            fingerprint=f"POST {request.raw_path}",
            identity=signature.id,
        )
        # A sender that hangs up must not undo what is half done.
        accepted = await asyncio.shield(door.accept(arrival))
        replayed = {"Idempotent-Replayed": "true"} if accepted.replayed else {}
        return web.json_response({"id": accepted.id}, headers=replayed)

    # --- sending

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Posts one webhook. Raises what its status stands for, and for Slack what its words mean."""
        target: WebhookTarget = outgoing.target
        if self._way is None:
            raise Unreachable(f"{self.name} has no `url`")
        if self.config.shape == "slack":
            reply = await self._way.post(slack.payload(target, outgoing), {}, outgoing.timeout)
        else:
            body, kind = _payload(target, outgoing)
            signed = await self._way.signed(
                signature_of, self._secrets(), outgoing.id, body, int(self._services.clock.now())
            )
            reply = await self._way.post(body, {**signed, "Content-Type": kind}, outgoing.timeout)
        answer = receipt(reply)
        error = failure(answer, self._services.clock.now(), self._way.where)
        if self.config.shape == "slack":
            error = slack.meaning(reply, answer, error, self._way.where)
        elif reply.status == 410:
            error = NotAuthorised(
                f"{self._way.where} answered 410: it takes no more webhooks at this address", reply=answer,
                hint="ask the receiver for its new address; messages wait",
            )  # fmt: skip
        if error is not None:
            raise error
        return answer


def _payload(target: WebhookTarget, outgoing: Outgoing) -> tuple[bytes | Blob, str]:
    """The body and its content type."""
    message, data = outgoing.message, outgoing.data
    if target.event is None:
        return message.body or b"", message.content_type or "application/octet-stream"
    body: Any = data.body
    if isinstance(body, (bytes, Blob)):
        raise MappingFailed(
            "`event` wraps plain values, and the body of this message is bytes", path="body",
            hint="decode it in a step, or leave `event` out",
        )  # fmt: skip
    at = datetime.fromtimestamp(message.received_at, UTC).isoformat().replace("+00:00", "Z")
    envelope = {"type": target.event.fill(data), "timestamp": at}
    # The engine has made JSON of the values already: it stands in the envelope as it is. Text is no JSON yet.
    inner = orjson.dumps(body) if isinstance(body, str) else message.body
    content = orjson.dumps({**envelope, "data": orjson.Fragment(inner)})
    return content, "application/json"
