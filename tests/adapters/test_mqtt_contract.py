"""The promises of every source and sink, kept against mosquitto with both versions and nats-server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.mqtt import Mqtt
from adapters.mqtt.config import MqttSubscription, MqttTarget
from pipe.testing.suites import SinkContract, SourceContract
from tests.adapters.mqtt_bench import Broker, Mosquitto, Nats, Onlooker, adapter, session, subscription, target

pytestmark = pytest.mark.debian


class Publisher:
    """A broker with a client that publishes."""

    def __init__(self, broker: Broker, hand: Onlooker) -> None:
        self._broker, self._hand = broker, hand
        self.options: MqttSubscription = subscription("in/{name}")
        self._topics: dict[bytes, str] = {}

    def make(self) -> Mqtt:
        """See SourcePeer."""
        return adapter(self._broker)

    async def offer(self, body: bytes) -> None:
        """See SourcePeer."""
        self._topics[body] = f"in/{len(self._topics)}"
        await self._hand.publish(self._topics[body], body)

    async def told(self, body: bytes) -> bool:
        """What the broker's log says of acknowledgements."""
        return self._topics[body] in self._broker.acknowledged("gw")

    async def leave(self) -> None:
        """See AdapterPeer."""
        await self._broker.stop()


class Subscriber:
    """A broker with a client that listens."""

    def __init__(self, broker: Broker, eye: Onlooker) -> None:
        self._broker, self._eye = broker, eye
        self.target: MqttTarget = target("out/${message.id}")

    def make(self) -> Mqtt:
        """See SinkPeer."""
        return adapter(self._broker)

    async def received(self) -> list[bytes]:
        """See SinkPeer."""
        await self._eye.publish("out/last", b"last")
        while b"last" not in self._eye.bodies:
            await self._eye.publish("out/last", b"last")
        return [body for body in self._eye.bodies if body != b"last"]

    async def leave(self) -> None:
        """See AdapterPeer."""
        await self._broker.stop()


class _Sources(SourceContract):
    version = "5.0"

    @pytest.fixture
    async def peer(self, tmp_path: Path) -> AsyncIterator[Publisher]:
        """A broker that already has a session for us."""
        broker = self.broker(tmp_path)
        await broker.start()
        try:
            await session(broker, "gw", "in/+")
            async with Onlooker(broker) as hand:
                yield Publisher(broker, hand)
        finally:
            await broker.stop()

    def broker(self, folder: Path) -> Broker:
        """Which one."""
        return Mosquitto(folder, version=self.version)


class TestSourceOfVersion5(_Sources):
    """MQTT 5.0 from mosquitto."""


class TestSourceOfVersion311(_Sources):
    """MQTT 3.1.1 from mosquitto."""

    version = "3.1.1"


class TestSourceOfNats(_Sources):
    """MQTT 3.1.1 from nats-server."""

    def broker(self, folder: Path) -> Broker:
        """See _Sources."""
        return Nats(folder)


class _Sinks(SinkContract):
    @pytest.fixture
    async def peer(self, tmp_path: Path) -> AsyncIterator[Subscriber]:
        """A broker, and somebody who listens."""
        broker = self.broker(tmp_path)
        await broker.start()
        try:
            async with Onlooker(broker) as eye:
                await eye.listen("out/+")
                yield Subscriber(broker, eye)
        finally:
            await broker.stop()

    def broker(self, folder: Path) -> Broker:
        """Which one."""
        return Mosquitto(folder)


class TestSinkOfVersion5(_Sinks):
    """MQTT 5.0 to mosquitto."""


class TestSinkOfVersion311(_Sinks):
    """MQTT 3.1.1 to mosquitto."""

    def broker(self, folder: Path) -> Broker:
        """See _Sinks."""
        return Mosquitto(folder, version="3.1.1")


class TestSinkOfNats(_Sinks):
    """MQTT 3.1.1 to nats-server."""

    def broker(self, folder: Path) -> Broker:
        """See _Sinks."""
        return Nats(folder)
