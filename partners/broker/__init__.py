"""A small strict MQTT broker, 3.1.1 and 5.0, in memory: the stand-in of other people's brokers."""

from __future__ import annotations

from partners.broker.broker import Broker
from partners.broker.sessions import Message

__all__ = ["Broker", "Message"]
