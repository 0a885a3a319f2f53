"""Packets on the wire, both versions. The properties of 5.0 are paho's to read and write."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

LARGEST = 16 << 20
"""bytes of a packet that are taken"""
FIVE, THREE = 5, 4
"""the protocol's own numbers of its versions"""
_FLAGS = {PacketTypes.PUBREL: 2, PacketTypes.SUBSCRIBE: 2, PacketTypes.UNSUBSCRIBE: 2}
"""what the low bits of the first byte must be, where they are not 0"""


class Malformed(Exception):
    """What came is not MQTT, or not what may come now."""

    def __init__(self, text: str, code: int = 0x82) -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class Packet:
    """One packet: its kind, the low bits of its first byte, what follows, and how far it was read."""

    kind: int
    flags: int
    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        """The next bytes. Raises Malformed where there are fewer."""
        if self.at + count > len(self.data):
            raise Malformed("a packet is shorter than it says", 0x81)
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int = 2) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.take(size), "big")

    def binary(self) -> bytes:
        """Bytes behind their count."""
        return self.take(self.number())

    def text(self) -> str:
        """A text. Raises Malformed where it is none."""
        try:
            text = self.binary().decode()
        except UnicodeDecodeError:
            raise Malformed("a text is not UTF-8", 0x81) from None
        if "\0" in text:
            raise Malformed("a text holds NUL", 0x81)
        return text

    def properties(self, kind: int | None = None) -> Properties:
        """The properties that stand here."""
        made = Properties(kind or self.kind)  # type: ignore[no-untyped-call]
        try:
            _, size = made.unpack(self.data[self.at :])  # type: ignore[no-untyped-call]
        except (MQTTException, IndexError, KeyError, ValueError, struct.error, UnicodeDecodeError) as error:
            raise Malformed(f"its properties cannot be read: {error}", 0x81) from error
        self.take(size)
        return made

    @property
    def rest(self) -> bytes:
        """What has not been read."""
        return self.data[self.at :]


async def read(reader: asyncio.StreamReader) -> Packet:
    """The next packet. Raises Malformed, asyncio.IncompleteReadError at the end of the connection."""
    first = (await reader.readexactly(1))[0]
    size, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
        if shift == 28:
            raise Malformed("the length of a packet has more than four bytes", 0x81)
    if size > LARGEST:
        raise Malformed(f"a packet has {size} bytes", 0x95)
    kind, flags = first >> 4, first & 0x0F
    if kind != PacketTypes.PUBLISH and flags != _FLAGS.get(kind, 0):
        raise Malformed("the flags of a packet are not what its kind demands", 0x81)
    return Packet(kind, flags, await reader.readexactly(size))


def packet(kind: int, *parts: bytes, flags: int = 0) -> bytes:
    """A packet as it stands on the wire."""
    body = b"".join(parts)
    size, digits = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        digits.append(digit | (0x80 if size else 0))
        if not size:
            return bytes([kind << 4 | flags]) + bytes(digits) + body


def text(value: str) -> bytes:
    """A text behind its count."""
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def number(value: int) -> bytes:
    """Two bytes."""
    return value.to_bytes(2, "big")


def packed(kind: int, values: dict[str, Any]) -> bytes:
    """Properties by name."""
    made = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return bytes(made.pack())  # type: ignore[no-untyped-call]


@dataclass(slots=True)
class Connect:
    """What a client says first."""

    version: int
    clean: bool
    keepalive: int
    client_id: str
    properties: Properties
    will: tuple[str, bytes, int, bool] | None = None
    """topic, body, quality, retained"""
    will_properties: Properties | None = None
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)


def connect(packet: Packet) -> Connect:
    """Reads a CONNECT. Raises Malformed; code 0x84 where the version is not known."""
    if packet.text() != "MQTT":
        raise Malformed("the protocol is not MQTT", 0x84)
    version, flags = packet.number(1), packet.number(1)
    if version not in {THREE, FIVE}:
        raise Malformed(f"version {version} is not known", 0x84)
    if flags & 1 or flags >> 3 & 3 == 3 or (flags & 0x38 and not flags & 4):
        raise Malformed("the flags of CONNECT do not fit together", 0x81)
    keepalive = packet.number()
    nothing = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties = packet.properties() if version == FIVE else nothing
    made = Connect(version, bool(flags & 2), keepalive, packet.text(), properties)
    if flags & 4:
        if version == FIVE:
            made.will_properties = packet.properties(PacketTypes.WILLMESSAGE)
        made.will = (packet.text(), packet.binary(), flags >> 3 & 3, bool(flags & 0x20))
    if flags & 0x80:
        made.username = packet.text()
    if flags & 0x40:
        made.password = packet.binary()
    if packet.rest:
        raise Malformed("CONNECT goes on after its end", 0x81)
    return made
