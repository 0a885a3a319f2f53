"""Brokers of other people's making, started by tests on loopback, and clients that look on."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.mqtt import Mqtt
from adapters.mqtt.config import MqttConfig, MqttSubscription, MqttTarget
from pipe.contract import Duration, Outgoing, Timeout
from pipe.testing import FakeDoor, FakeDoors, FakeServices
from pipe.testing.suites import outgoing

PATIENCE = 60.0
_SENT = re.compile(r"Sending PUBLISH to (\S+) \(d(\d), q(\d), r\d, m(\d+), '([^']*)'")
_ACKED = re.compile(r"Received PUBACK from (\S+) \(Mid: (\d+)")
_NATS_SENT = re.compile(r'"(\S+)" - ->> \[PUBLISH (\S+) dup=\w+ QoS=1 .* pi=(\d+)\]')
_NATS_ACKED = re.compile(r'"(\S+)" - <<- \[PUBACK pi=(\d+)\]')


async def until(question: Callable[[], object], what: str = "it") -> None:
    """Returns once the answer is true; fails after PATIENCE."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not question():  # noqa: ASYNC110  what is asked for happens in another process
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"{what} did not come true within {PATIENCE:g} s")


def free_port() -> int:
    """A port of loopback that nobody listens on; mosquitto cannot choose one itself."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Broker:
    """A broker as a process, on a port that it keeps when it is started again."""

    version = "5.0"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What starts it."""
        raise NotImplementedError

    async def start(self) -> None:
        """Returns once it takes connections."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder)
        await until(self._takes, "the broker")

    def _takes(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self, *, kill: bool = False) -> None:
        """Ends it; safe twice."""
        process, self._process = self._process, None
        if process is not None:
            (process.kill if kill else process.terminate)()
            await asyncio.to_thread(process.wait)

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def acknowledged(self, client: str) -> list[str]:
        """The topics of the messages that this client has acknowledged, by the log."""
        raise NotImplementedError


class Mosquitto(Broker):
    """Debian's mosquitto; `lines` are further lines of its configuration."""

    def __init__(self, folder: Path, *lines: str, version: str = "5.0", anonymous: bool = True) -> None:
        super().__init__(folder)
        self.version = version
        self._lines = lines
        self._anonymous = anonymous

    def command(self) -> Sequence[str]:
        """See Broker."""
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed: apt install mosquitto")
        own = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'true' if self._anonymous else 'false'}",
            "log_dest stderr", "log_type all", "persistence true", f"persistence_location {self.folder}/",
            "max_queued_messages 0",
            "set_tcp_nodelay true", "user root",
        ]  # fmt: skip
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([*own, *self._lines, ""]), encoding="utf-8")
        return [program, "-c", str(config)]

    def acknowledged(self, client: str) -> list[str]:
        """The topics of the messages that this client has acknowledged."""
        under_way: dict[tuple[str, str], str] = {}
        found = []
        for line in self.said().splitlines():
            if sent := _SENT.search(line):
                under_way[sent[1], sent[4]] = sent[5]
            elif acked := _ACKED.search(line):
                topic = under_way.get((acked[1], acked[2]))
                if acked[1] == client and topic is not None:
                    found.append(topic)
        return found

    def repeated(self, client: str) -> int:
        """How many messages this client was given a second time."""
        return sum(
            1
            for line in self.said().splitlines()
            if (sent := _SENT.search(line)) and sent[1] == client and sent[2] == "1"
        )


class Nats(Broker):
    """nats-server's MQTT, which speaks 3.1.1."""

    version = "3.1.1"

    def command(self) -> Sequence[str]:
        """See Broker."""
        config = self.folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{free_port()}"\nserver_name: tests\njetstream {{ store_dir: "{self.folder}/store" }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.port}", ack_wait: "1s" }}\n{self.extra()}',
            encoding="utf-8",
        )
        return [str(Path(sys.executable).with_name("nats-server")), "-c", str(config), "-V"]

    def acknowledged(self, client: str) -> list[str]:
        """See Broker."""
        under_way: dict[tuple[str, str], str] = {}
        found = []
        for line in self.said().splitlines():
            if sent := _NATS_SENT.search(line):
                under_way[sent[1], sent[3]] = sent[2]
            elif (acked := _NATS_ACKED.search(line)) and acked[1] == client:
                found.append(under_way[client, acked[2]])
        return found

    def extra(self) -> str:
        """Further lines of its configuration."""
        return ""


@asynccontextmanager
async def running(broker: Any) -> AsyncIterator[Any]:
    """The broker while it runs."""
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


class Onlooker:
    """A plain client of the test's own, with a thread of paho's."""

    def __init__(self, broker: Broker, name: str = "", *, clean: bool = True, user: str | None = None) -> None:
        five = broker.version == "5.0"
        self.messages: list[MQTTMessage] = []
        self.port = broker.port
        self._five, self._clean = five, clean
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=None if five else clean,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        )
        if user is not None:
            self.client.username_pw_set(user, f"{user}-password")
        self.client.max_inflight_messages_set(100)
        self._done: set[int] = set()
        self.client.on_message = lambda client, data, message: self.messages.append(message)
        self.client.on_subscribe = lambda client, data, mid, codes, props: self._done.add(mid)
        self.client.on_publish = lambda client, data, mid, code, props: self._done.add(mid)

    async def __aenter__(self) -> Self:
        properties = Properties(PacketTypes.CONNECT) if self._five else None  # type: ignore[no-untyped-call]
        options: dict[str, Any] = {"clean_start": self._clean} if self._five else {}
        if properties is not None:
            properties.SessionExpiryInterval = 0 if self._clean else 3600
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self.port, 30, properties=properties, **options)
        self.client.loop_start()
        await until(self.client.is_connected, "the onlooker's sign-in")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)
        self.client._reset_sockets()

    async def listen(self, *topics: str) -> None:
        """Returns once the broker has confirmed it."""
        for topic in topics:
            _, mid = self.client.subscribe(topic, qos=1)
            await self._confirmed(mid or 0)

    async def publish(self, topic: str, body: bytes, *, qos: int = 1, retain: bool = False, **said: Any) -> None:
        """Returns once the broker has confirmed it."""
        properties: Any = None
        if said:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            for name, value in said.items():
                setattr(properties, name, value)
        info = self.client.publish(topic, body, qos, retain, properties)
        await self._confirmed(info.mid)

    async def _confirmed(self, mid: int) -> None:
        await until(lambda: mid in self._done, "what the onlooker asked for")

    @property
    def bodies(self) -> list[bytes]:
        """What came so far, in order."""
        return [bytes(message.payload) for message in self.messages]


async def session(broker: Broker, name: str, topic: str) -> None:
    """Makes the broker keep for this client what comes to that topic from now on."""
    async with Onlooker(broker, name, clean=False) as client:
        await client.listen(topic)


def config(broker: Broker, *, port: int | None = None, **keys: Any) -> MqttConfig:
    """A connection to this broker, or to a port in front of it."""
    made = {"url": f"mqtt://127.0.0.1:{port or broker.port}", "client_id": "gw", "version": broker.version, **keys}
    return MqttConfig.model_validate(made)


def adapter(broker: Broker, **keys: Any) -> Mqtt:
    """An adapter of that connection."""
    return Mqtt("broker", config(broker, **keys), FakeServices())


def target(publish: str | None = "out/${message.id}", **keys: Any) -> MqttTarget:
    """A target."""
    return MqttTarget.model_validate({"publish": publish, **keys})


def subscription(topic: str = "in/{name}", **keys: Any) -> MqttSubscription:
    """A subscription."""
    return MqttSubscription.model_validate({"topic": topic, **keys})


def attempt(body: bytes, to: MqttTarget, *, seconds: float = 2.0, number: int = 1, **fields: Any) -> Outgoing:
    """One attempt that may take so long."""
    patience = Timeout(connect=Duration(seconds), read=Duration(seconds), total=Duration(seconds))
    return outgoing(body, to, number, **fields)._replace(timeout=patience)


@asynccontextmanager
async def opened(made: Mqtt) -> AsyncIterator[Mqtt]:
    """The adapter, open."""
    await made.open()
    try:
        yield made
    finally:
        await made.close()


class Listening:
    """An adapter that listens for one test, run again whenever it fails, as the engine does."""

    def __init__(self, made: Mqtt, *doors: FakeDoor) -> None:
        self.adapter, self.doors = made, FakeDoors(*doors)
        self.failures: list[BaseException] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.adapter.open()
        self._task = asyncio.create_task(self._run())
        return self

    async def _run(self) -> None:
        while True:
            try:
                await self.adapter.run(self.doors)
            except Exception as error:  # boundary: the engine's part
                self.failures.append(error)
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Cancels `run`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        await self.adapter.close()
