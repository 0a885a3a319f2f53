"""One client's connection."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from typing import TYPE_CHECKING, Any

from paho.mqtt.packettypes import PacketTypes as Kind

from partners.broker.packets import FIVE, Connect, Malformed, Packet, connect, number, packed, packet, read, text
from partners.broker.sessions import Message, Session, Subscription, wrong_filter

if TYPE_CHECKING:
    from partners.broker.broker import Broker

FIRST_S = 10.0
"""seconds until the first packet must be there"""
_FORWARDED = (
    "PayloadFormatIndicator", "MessageExpiryInterval", "ContentType", "ResponseTopic", "CorrelationData",
    "UserProperty",
)  # fmt: skip
_THREE = {0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}
"""reason codes of CONNACK as 3.1.1 numbers them"""


class Client:
    """Reads packets until the connection ends."""

    def __init__(self, broker: Broker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._broker, self._reader, self._writer = broker, reader, writer
        self.five = True
        self.client_id = ""
        self._session: Session | None = None
        self._will: Message | None = None

    async def run(self) -> None:
        """One connection from its first packet to its end."""
        said: Connect | None = None
        try:
            said = await self._first()
            if said is not None:
                await self._packets(said)
        except Malformed as error:
            if said is not None and self.five:
                self.send(packet(Kind.DISCONNECT, bytes([error.code]), b"\0"))
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # gone without a word: its will is published below
        finally:
            if self._session is not None:
                self._broker.sign_out(self, self._session)
            if self._will is not None:
                self._broker.publish(self._will, self.client_id)
            self._writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(self._writer.wait_closed(), 1)

    async def _first(self) -> Connect | None:
        async with asyncio.timeout(FIRST_S):
            opening = await read(self._reader)
        if opening.kind != Kind.CONNECT:
            raise Malformed("the first packet is not CONNECT")
        try:
            said = connect(opening)
        except Malformed as error:
            self.five = error.code == 0x84
            self._answer_connect(error.code if error.code == 0x84 else 0x81)
            raise
        self.five = said.version == FIVE
        if self._broker.deaf:
            await asyncio.Event().wait()
        if not said.client_id:
            if not self.five and not said.clean:
                self._answer_connect(0x85)
                return None
            said.client_id = f"auto-{secrets.token_hex(8)}"
            assigned = {"AssignedClientIdentifier": said.client_id}
        else:
            assigned = {}
        if not self._broker.allowed(said):
            self._answer_connect(0x86)
            return None
        self.client_id = said.client_id
        self._session, present = self._broker.sign_in(self, said)
        if said.will is not None:
            topic, body, qos, retain = said.will
            self._will = Message(topic, body, qos, retain, _forwarded(said.will_properties))
        self._answer_connect(0, present=present, said=assigned)
        self._resume(self._session)
        return said

    def _answer_connect(self, code: int, *, present: bool = False, said: dict[str, Any] | None = None) -> None:
        number_ = code if self.five else _THREE.get(code, 3) if code else 0
        properties = packed(Kind.CONNACK, said or {}) if self.five else b""
        self.send(packet(Kind.CONNACK, bytes([present and not code, number_]), properties))

    def _resume(self, session: Session) -> None:
        """What was under way when the connection before ended comes again, in its order."""
        for mid, message in session.under_way.items():
            self._send_message(mid, message, again=True)
        for mid in session.released:
            self.send(packet(Kind.PUBREL, number(mid), flags=2))
        self.pump()

    async def _packets(self, said: Connect) -> None:
        silence = said.keepalive * 1.5 or None
        while True:
            async with asyncio.timeout(silence):
                came = await read(self._reader)
            if self._broker.deaf:
                continue
            if came.kind == Kind.DISCONNECT:
                if not (self.five and came.data[:1] == b"\x04"):
                    self._will = None
                return
            await self._take(came)
            await self._writer.drain()

    async def _take(self, came: Packet) -> None:
        session = self._session
        assert session is not None
        match came.kind:
            case Kind.PUBLISH:
                await self._published(session, came)
            case Kind.PUBACK | Kind.PUBCOMP:
                mid = came.number()
                session.under_way.pop(mid, None)
                session.released.discard(mid)
                self.pump()
            case Kind.PUBREC:
                mid = came.number()
                if session.under_way.pop(mid, None) is not None and not (came.rest and came.rest[0] >= 0x80):
                    session.released.add(mid)
                self.send(packet(Kind.PUBREL, number(mid), flags=2))
            case Kind.PUBREL:
                mid = came.number()
                session.incoming.discard(mid)
                self.send(packet(Kind.PUBCOMP, number(mid)))
            case Kind.SUBSCRIBE:
                self._subscribed(session, came)
            case Kind.UNSUBSCRIBE:
                self._unsubscribed(session, came)
            case Kind.PINGREQ:
                self.send(packet(Kind.PINGRESP))
            case _:
                raise Malformed(f"packets of kind {came.kind} are not expected from a client")

    async def _published(self, session: Session, came: Packet) -> None:
        qos, topic = came.flags >> 1 & 3, came.text()
        if qos == 3 or not topic or set("+#") & set(topic) or topic.startswith("$"):
            raise Malformed(f"nothing can be published to {topic!r} with quality {qos}", 0x90)
        mid = came.number() if qos else 0
        if qos and not mid:
            raise Malformed("the packet identifier is 0")
        properties = _forwarded(came.properties()) if self.five else {}
        if qos == 2 and mid in session.incoming:
            self._confirm(Kind.PUBREC, mid, 0)
            return
        message = Message(topic, came.rest, qos, bool(came.flags & 1), properties)
        code = await self._broker.taken(self, message)
        if code is None:
            self._broker.publish(message, session.client_id)
            if qos == 2:
                session.incoming.add(mid)
        elif not self.five:
            raise Malformed("3.1.1 has no way to refuse a message but to end the connection")
        if qos:
            self._confirm(Kind.PUBACK if qos == 1 else Kind.PUBREC, mid, code or 0)

    def _confirm(self, kind: int, mid: int, code: int) -> None:
        self.send(packet(kind, number(mid), bytes([code]) if code else b""))

    def _subscribed(self, session: Session, came: Packet) -> None:
        mid = came.number()
        properties: Any = came.properties() if self.five else None
        identifiers = getattr(properties, "SubscriptionIdentifier", None)
        codes: list[int] = []
        fresh: list[Subscription] = []
        while came.rest or not codes:
            wanted, options = came.text(), came.number(1)
            qos, handling = options & 3, options >> 4 & 3
            if qos == 3 or (options & 0xFC and not self.five):
                raise Malformed("the options of a subscription are not what the protocol knows", 0x81)
            if wrong_filter(wanted):
                codes.append(0x8F if self.five else 0x80)
                continue
            first = identifiers[0] if identifiers else None
            made = Subscription(wanted, qos, bool(options & 4), bool(options & 8) and self.five, first)
            if handling == 0 or (handling == 1 and wanted not in session.subscriptions):
                fresh.append(made)
            session.subscriptions[wanted] = made
            codes.append(qos)
        self.send(packet(Kind.SUBACK, number(mid), b"\0" if self.five else b"", bytes(codes)))
        for each in fresh:
            self._broker.greet(session, each)

    def _unsubscribed(self, session: Session, came: Packet) -> None:
        mid = came.number()
        if self.five:
            came.properties()
        codes: list[int] = []
        while came.rest or not codes:
            known = session.subscriptions.pop(came.text(), None)
            codes.append(0 if known is not None else 0x11)
        self.send(packet(Kind.UNSUBACK, number(mid), *((b"\0", bytes(codes)) if self.five else ())))

    # --- towards the client

    def pump(self) -> None:
        """Hands out what waits, as far as the client takes it."""
        session = self._session
        while session is not None and not self._broker.deaf and (ready := session.next()) is not None:
            self._send_message(*ready)

    def _send_message(self, mid: int, message: Message, *, again: bool = False) -> None:
        flags = again << 3 | message.qos << 1 | message.retain
        said = dict(message.properties)
        if message.subscriptions:
            said["SubscriptionIdentifier"] = list(message.subscriptions)
        properties = packed(Kind.PUBLISH, said) if self.five else b""
        identifier = number(mid) if message.qos else b""
        self.send(packet(Kind.PUBLISH, text(message.topic), identifier, properties, message.body, flags=flags))

    def send(self, raw: bytes) -> None:
        """Writes bytes as they are."""
        if not self._broker.deaf and not self._writer.is_closing():
            self._writer.write(raw)

    def push_out(self) -> None:
        """Another client uses its name."""
        if self.five:
            self.send(packet(Kind.DISCONNECT, b"\x8e", b"\0"))
        self._writer.close()

    def reset(self) -> None:
        """Tears the connection down."""
        # A linger of no seconds makes the close a reset instead of an orderly end.
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def truncate(self) -> None:
        """Half an acknowledgement, then the end."""
        self.send(packet(Kind.PUBACK, number(1))[:2])
        await self._writer.drain()
        self._writer.close()


def _forwarded(properties: Any) -> dict[str, Any]:
    """The properties that go with a message to whoever gets it."""
    return {name: getattr(properties, name) for name in _FORWARDED if hasattr(properties, name)}
