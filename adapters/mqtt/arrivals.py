"""A message of the broker as an arrival, and a message of ours as the broker takes it."""

from __future__ import annotations

from typing import Any

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.mqtt.config import MqttTarget
from adapters.mqtt.topics import answered, filled
from pipe.contract import Arrival, Blob, Message, Outgoing
from pipe.errors import BadHeader

MOST_PROPERTIES, MOST_SIGNS = 128, 16 << 10
"""user properties that become headers, and signs that they may have together"""


def arrival(message: MQTTMessage, params: dict[str, str], body: bytes | Blob, identity: str | None) -> Arrival:
    """What the route gets: the topic, its named levels, and what 5.0 says besides, as headers."""
    about = {"topic": message.topic, "qos": str(message.qos), "retain": "true" if message.retain else "false"}
    properties = message.properties
    headers = {**_told(properties), **about} if properties is not None else about
    return Arrival(
        body=body,
        headers=headers,
        params=params,
        content_type=getattr(properties, "ContentType", None),
        fingerprint=message.topic,
        identity=identity,
    )


def _told(properties: Properties) -> dict[str, str]:
    headers: dict[str, str] = {}
    pairs: list[tuple[str, str]] = getattr(properties, "UserProperty", [])
    signs = 0
    for name, value in pairs[:MOST_PROPERTIES]:
        signs += len(name) + len(value)
        if signs > MOST_SIGNS:
            break
        key = name.lower().replace("-", "_")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    if (topic := getattr(properties, "ResponseTopic", None)) is not None:
        headers["response_topic"] = topic
    if (correlation := getattr(properties, "CorrelationData", None)) is not None:
        headers["correlation"] = _text(correlation)
    return headers


def _text(data: bytes) -> str:
    """As text where it is printable text, else as hexadecimal digits behind `hex:`."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"hex:{data.hex()}"
    return text if text.isprintable() and not text.startswith("hex:") else f"hex:{data.hex()}"


def topic_of(target: MqttTarget, message: Message) -> str:
    """Where it goes. Raises BadHeader."""
    if target.publish is not None:
        return filled(target.publish, message, percent=target.values == "percent")
    assert target.respond is not None
    return answered(target.respond, message)


def properties_of(outgoing: Outgoing) -> Properties:
    """What 5.0 says beside the body; our id always, so that a receiver can tell a repetition."""
    target: MqttTarget = outgoing.target
    made: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    own = [("pipe_message_id", outgoing.id), *([("idempotency_key", outgoing.key)] if outgoing.key else [])]
    data = outgoing.data
    made.UserProperty = own + [(name, _clean(name, value.fill(data))) for name, value in target.properties.items()]
    if outgoing.message.content_type is not None:
        made.ContentType = _clean("content type", outgoing.message.content_type)
    if target.expires is not None:
        made.MessageExpiryInterval = int(target.expires)
    if target.response_topic is not None:
        made.ResponseTopic = filled(target.response_topic, data, percent=target.values == "percent")
    if target.correlation is not None:
        text = _clean("correlation", target.correlation.fill(data))
        made.CorrelationData = _bytes(text)
    elif target.respond is not None and "correlation" in data.headers:
        made.CorrelationData = _bytes(data.headers["correlation"])
    properties: Properties = made
    return properties


def _bytes(text: str) -> bytes:
    """The opposite of `_text`."""
    try:
        return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()
    except ValueError:
        return text.encode()


def _clean(name: str, value: str) -> str:
    """Refuses what 5.0 cannot say in a text."""
    if any(sign < " " or sign == "\x7f" or "\ud800" <= sign <= "\udfff" for sign in value) or len(value) > 16_383:
        raise BadHeader(f"the property {name!r} would hold a control character, or more than 16,383 signs")
    return value
