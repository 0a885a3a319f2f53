"""The adapter: one link that receives, one that sends, each made when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, ClassVar, Literal

from paho.mqtt.client import MQTTMessage

from adapters.http_dialling import Dialler
from adapters.http_network import Permissions, TlsFiles
from adapters.mqtt.arrivals import properties_of, topic_of
from adapters.mqtt.codes import no_publish, said
from adapters.mqtt.config import MqttConfig, MqttSubscription, MqttTarget
from adapters.mqtt.examining import climbed
from adapters.mqtt.link import Link
from adapters.mqtt.receiving import Receiver
from adapters.mqtt.topics import overlap
from pipe import blocking
from pipe.contract import (
    Blob,
    Certificate,
    ConnectionConfig,
    Doors,
    Health,
    Options,
    Outgoing,
    Receipt,
    Rung,
    Services,
    Timeout,
)
from pipe.errors import PipeError, Refused, Unreachable

HEAD = 5 + 2 + 2
"""bytes of a PUBLISH beside topic, properties and body, at most"""


class Mqtt:
    """Source and sink over one broker."""

    Config: ClassVar[type[ConnectionConfig]] = MqttConfig
    Subscription: ClassVar[type[Options]] = MqttSubscription
    Target: ClassVar[type[Options]] = MqttTarget
    takes: ClassVar[Literal["bytes", "values"]] = "bytes"
    refusable: ClassVar[bool] = False

    def __init__(self, name: str, config: MqttConfig, services: Services) -> None:
        self.name, self.config, self._services = name, config, services
        self._timeout = config.timeout or services.default_timeout
        tls = TlsFiles(config.tls, config.mtls, speaks=None) if config.secure else None
        self._dialler = Dialler(*config.place, Permissions(config.allow, config.url), tls)
        self._pool = f"mqtt {name}"
        self._making = asyncio.Lock()
        self._out: Link | None = None
        self._sends = self._closed = False
        self._receiver = Receiver(name, config, services, self._timeout, self._linked)

    # --- what the configuration asks

    def guarantee(self, options: MqttSubscription) -> str | tuple[str, str]:
        """Only qos 1 comes again."""
        if options.qos:
            return "at-least-once"
        return "at-most-once", "qos 0: the broker forgets what it has sent"

    def collides(self, one: MqttSubscription, other: MqttSubscription) -> bool:
        """A message belongs to one route of a connection, because brokers differ in how often they send it else."""
        return overlap(one.topic, other.topic)

    def review(self, config: MqttConfig, options: Any) -> list[str]:
        """Keys that this version of the protocol cannot say."""
        if config.five or not isinstance(options, MqttTarget):
            return []
        return [f"`{name}` needs MQTT 5.0, and this connection has `version: 3.1.1`" for name in options.needs_five]

    def natural(self, target: MqttTarget) -> bool:
        """With qos 1 every receiver must bear a repetition; with 2 it is never to see one, with 0 nobody asked."""
        return target.qos == 1

    # --- life

    async def open(self) -> None:
        """Reads the TLS files; asks nobody. Raises TlsFailed."""
        self._closed = False
        if self._dialler.tls is not None:
            await blocking.run(self._pool, self._dialler.tls.context)

    async def close(self) -> None:
        """Says goodbye to the broker. Safe before open, safe twice."""
        self._closed = True
        async with self._making:
            link, self._out = self._out, None
            if link is not None:
                await link.close(self._pool)
            await self._receiver.close(self._pool)
        blocking.close(self._pool)

    async def check(self) -> Health:
        """Connects, and signs in where something is to be sent. Never raises."""
        try:
            sock = await self._dialled(self._timeout)
            sock.close()
            if self._sends and not self._closed:
                await self._sending(self._timeout)
        except PipeError as error:
            return Health("down", error.text, error.code)
        finally:
            if self._closed:
                blocking.close(self._pool)
        troubles = "; ".join(self.troubles())
        return Health("degraded", troubles, "troubles") if troubles else Health("up")

    def troubles(self) -> list[str]:
        """What had to be let go."""
        return self._receiver.troubles()

    def certificates(self) -> list[Certificate]:
        """The broker's and ours."""
        return self._dialler.tls.certificates() if self._dialler.tls is not None else []

    async def examine(self, uses: Sequence[Any]) -> AsyncIterator[Rung]:
        """Name, TCP, TLS, sign-in, right to listen; under a name of its own, so that nobody is pushed out."""
        async for rung in climbed(self.config, self._dialler, self._timeout, uses, f"{self._pool} doctor"):
            yield rung

    # --- sending

    async def send(self, outgoing: Outgoing) -> Receipt:
        """Publishes; with qos 1 and 2 the receipt means that the broker has confirmed it.

        Raises BadHeader for a topic that data must not make, Refused where the broker says no, NoAnswer where the
        connection broke before it said anything.
        """
        target, message = outgoing.target, outgoing.message
        topic = topic_of(target, outgoing.data)
        properties = properties_of(outgoing) if self.config.five else None
        body = message.body or b""
        if isinstance(body, Blob):
            body = await blocking.run(self._pool, body.read)
        link = await self._sending(outgoing.timeout)
        said_beside = properties.pack() if properties is not None else b""  # type: ignore[no-untyped-call]
        size = HEAD + len(topic.encode()) + len(said_beside) + len(body)
        if (problem := _beyond(link, target, size)) is not None:
            raise Refused(f"{self._dialler.where} {problem}")
        seconds = min(outgoing.timeout.read, outgoing.timeout.total)
        code = await link.publish(
            topic, body, qos=target.qos, retain=target.retain, properties=properties, seconds=seconds
        )
        if code.is_failure:
            raise no_publish(code, topic, self._dialler.where)
        status = "confirmed" if target.qos else "written"
        return Receipt(status=status, body={"topic": topic, "said": said(code)})

    async def _sending(self, timeout: Timeout) -> Link:
        self._sends = True
        link = self._out
        if link is not None and link.lost is None:
            return link
        async with self._making:
            if self._closed:
                raise Unreachable(f"the connection {self.name} is closed")
            if self._out is not None and self._out.lost is not None:
                link, self._out = self._out, None
                await link.close(self._pool)
            if self._out is None:
                # A session of the broker would remember packet identifiers of qos 2 that a new process uses again.
                self._out = await self._linked(f"{self.config.client_id}-out", timeout)
            return self._out

    # --- receiving

    async def run(self, doors: Doors) -> None:
        """Listens until cancelled. Raises the PeerError of a broker that is lost."""
        await self._receiver.run(doors, self._pool)

    # --- connections

    async def _linked(
        self,
        client_id: str,
        timeout: Timeout,
        *,
        keep: float = 0.0,
        heard: Callable[[MQTTMessage], None] | None = None,
    ) -> Link:
        sock = await self._dialled(timeout)
        try:
            link = Link(self.config, client_id, sock, self._dialler.where, keep=keep, heard=heard)
        except BaseException:
            sock.close()
            raise
        try:
            await link.sign_in(timeout.read)
        except BaseException as error:
            link.drop(str(error))
            await link.close(self._pool)
            raise
        return link

    async def _dialled(self, timeout: Timeout) -> Any:
        seconds = min(timeout.connect, timeout.total)
        dialling = asyncio.ensure_future(blocking.run(self._pool, self._dialler.dial, float(seconds)))
        try:
            # The grace is for a resolver that does not answer: it knows no time-out of ours.
            return await asyncio.wait_for(asyncio.shield(dialling), seconds + 0.5)
        except (TimeoutError, asyncio.CancelledError) as error:
            dialling.add_done_callback(_close_late)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise Unreachable(f"{self._dialler.where} could not be reached within {seconds:g} s") from None


def _close_late(dialling: asyncio.Future[Any]) -> None:
    """Nobody waits for this socket any more."""
    if not dialling.cancelled() and dialling.exception() is None:
        dialling.result().close()


def _beyond(link: Link, target: MqttTarget, size: int) -> str | None:
    """What this broker said that it does not take, before it is sent."""
    if size > link.most:
        return f"takes at most {link.most} bytes, and this message has {size}"
    if target.qos > link.best:
        return f"knows no qos above {link.best}"
    if target.retain and not link.retains:
        return "keeps no messages, and the target says `retain: true`"
    return None
