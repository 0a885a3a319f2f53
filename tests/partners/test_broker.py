"""The stand-in of brokers keeps the protocol's promises, to the gateway's adapter and to a plain client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.mqtt import Mqtt
from adapters.mqtt.config import MqttConfig
from partners.manners import manner
from partners.mqtt_partner import MqttPartner
from pipe.config.units import Secret
from pipe.errors import BadRequest, Busy, NoAnswer, NotAuthorised, PipeError, Refused
from pipe.testing import FakeDoor, FakeServices
from tests.adapters import mqtt_bench
from tests.adapters.mqtt_bench import (
    Listening,
    Onlooker,
    adapter,
    attempt,
    config,
    opened,
    session,
    subscription,
    target,
    until,
)

BOTH = pytest.mark.parametrize("version", ["5.0", "3.1.1"])


class Own(mqtt_bench.Broker):
    """The stand-in where the tests' brokers are."""

    def __init__(self, partner: MqttPartner, version: str) -> None:
        self.partner, self.version, self.port = partner, version, partner.port
        self.broker = partner.broker

    def command(self) -> Sequence[str]:
        """It is no program."""
        return ()


@pytest.fixture
def version() -> str:
    """Of the protocol; `BOTH` has a test run with each."""
    return "5.0"


def written(**keys: Any) -> MqttConfig:
    """A connection as a configuration has it, to a broker that is not there."""
    return MqttConfig.model_validate({"url": "mqtts://broker.example", "client_id": "gw", **keys})


@pytest.fixture
async def own(tmp_path: Path, version: str) -> AsyncIterator[Own]:
    """A stand-in that lets everybody in."""
    partner = MqttPartner("meters", written(), tmp_path / "records")
    await partner.start()
    yield Own(partner, version)
    await partner.close()


def topics(own: Own) -> set[str]:
    """What the gateway's session listens to."""
    session = own.broker.sessions.get("gw")
    return set(session.subscriptions) if session is not None else set()


@BOTH
async def test_messages_pass_both_ways_in_order(own: Own) -> None:
    """Two thousand from a plain client to our adapter, and on to another plain client."""
    door = FakeDoor(subscription())
    async with Onlooker(own) as eye, Onlooker(own) as hand, Listening(adapter(own), door) as listening:
        await eye.listen("out/#")
        await until(lambda: topics(own) == {"in/+"})
        for number in range(2000):
            hand.client.publish("in/a", b"%d" % number, 1)
        await door.arrived(2000)
        for number in range(20):
            await listening.adapter.send(attempt(b"%d" % number, target("out/a", qos=2 if number % 2 else 1)))
        await until(lambda: len(eye.bodies) == 20)
    assert door.bodies == [b"%d" % number for number in range(2000)]
    assert eye.bodies == [b"%d" % number for number in range(20)]


@BOTH
async def test_a_session_keeps_what_was_not_acknowledged(own: Own) -> None:
    """While the client is away, over a restart of the stand-in, and again with `dup` what it did not acknowledge."""
    await session(own, "gw", "in/+")
    async with Onlooker(own) as hand:
        await hand.publish("in/a", b"1")
        await hand.publish("in/b", b"2", qos=2)
        await hand.publish("in/c", b"3", qos=0)
    await own.partner.stop()
    await own.partner.start()
    held = FakeDoor(subscription())
    held.held = asyncio.Event()
    async with Listening(adapter(own), held):
        await held.knocked(2)
    door = FakeDoor(subscription())
    async with Listening(adapter(own), door):
        await door.arrived(2)
        await until(lambda: not own.broker.sessions["gw"].under_way)
    assert (held.bodies, door.bodies) == ([], [b"1", b"2"])


@BOTH
async def test_kept_messages_wills_and_topics_of_any_shape(own: Own) -> None:
    """Retained ones come first, an empty one takes them back; a will is published where nobody says goodbye."""
    async with Onlooker(own) as hand, Onlooker(own) as eye:
        await hand.publish("a/b", b"kept", retain=True)
        await hand.publish("a/c", b"gone", retain=True)
        await hand.publish("a/c", b"", retain=True)
        await eye.listen("a/#", "+/x", "#")
        await until(lambda: b"kept" in eye.bodies)
        async with opened(adapter(own, will={"topic": "lost/x", "body": "offline"})) as made:
            await made.send(attempt(b"x", target("q/x")))
            own.broker.clients["gw-out"].reset()
            await until(lambda: b"offline" in eye.bodies)
    kept = [message for message in eye.messages if message.retain]
    assert {bytes(message.payload) for message in kept} == {b"kept"}


async def test_a_group_shares_and_properties_pass(own: Own) -> None:
    """Each message to one member; user properties, response topic and correlation as they were sent."""
    doors = [FakeDoor(subscription(share="g")) for _ in range(2)]
    async with (
        Onlooker(own) as hand,
        Listening(adapter(own, client_id="one"), doors[0]),
        Listening(adapter(own, client_id="two"), doors[1]),
    ):
        await until(lambda: sum(bool(each.subscriptions) for each in own.broker.sessions.values()) == 2)
        for number in range(10):
            await hand.publish("in/a", b"%d" % number, UserProperty=("region", "kyiv"), ResponseTopic="answers/1")
        await until(lambda: sum(len(door.bodies) for door in doors) == 10)
    assert [len(door.bodies) for door in doors] == [5, 5]
    headers = doors[0].arrivals[0].headers
    assert (headers["region"], headers["response_topic"]) == ("kyiv", "answers/1")


async def test_topics_are_given_back_and_names_belong_to_the_last(own: Own) -> None:
    """UNSUBSCRIBE ends it; a second client of a name pushes out the first."""
    services = FakeServices()
    old, new = FakeDoor(subscription("old/{n}")), FakeDoor(subscription("new/{n}"))
    async with Listening(Mqtt("broker", config(own), services), old):
        await until(lambda: topics(own) == {"old/+"})
    async with Listening(Mqtt("broker", config(own), services), new) as listening:
        await until(lambda: topics(own) == {"new/+"})
        async with Onlooker(own, "gw"):
            await until(lambda: listening.failures)
    assert "Session taken over" in str(listening.failures[0])


@BOTH
async def test_only_the_connection_itself_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """By the user name and the password of its own configuration."""
    monkeypatch.setenv("METERS_PASSWORD", "right")
    password = Secret("${env:METERS_PASSWORD}")
    partner = MqttPartner("meters", written(username="gw", password=password), tmp_path)
    await partner.start()
    own = Own(partner, version)
    async with opened(adapter(own, username="gw", password=password)) as made:
        assert (await made.send(attempt(b"x", target("a/b")))).status == "confirmed"
    monkeypatch.setenv("OTHER", "wrong")
    async with opened(adapter(own, username="gw", password=Secret("${env:OTHER}"))) as made:
        with pytest.raises(NotAuthorised):
            await made.send(attempt(b"x", target("a/b")))
    await partner.close()
    assert [row["topic"] for row in partner.rows.all] == ["a/b"]


@pytest.mark.parametrize(
    ("words", "error", "rows"),
    [
        (["refuse"], Refused, 0),
        (["fail"], Busy, 0),
        (["reset-after-send"], NoAnswer, 0),
        (["reset", "done=yes"], NoAnswer, 1),
        (["truncate"], NoAnswer, 1),
        (["garbage"], NoAnswer, 1),
        (["half-open"], NoAnswer, 0),
        (["slow", "1.5"], NoAnswer, 1),
    ],
)
async def test_each_manner_has_its_error(own: Own, words: list[str], error: type[PipeError], rows: int) -> None:
    """As the adapter names it; well again, the next message is taken."""
    async with opened(adapter(own)) as made:
        await made.send(attempt(b"first", target("a/b")))
        own.partner.behave(manner(words[0], words[1:]))
        with pytest.raises(error):
            await made.send(attempt(b"second", target("a/b"), seconds=0.5))
        before = len(own.partner.rows)
        own.partner.behave(manner("well"))
        await made.send(attempt(b"third", target("a/b")))
    assert before == 1 + rows


async def test_duplicates_come_twice_and_a_turn_wears_off(own: Own) -> None:
    """`duplicate for=1`: one message comes twice, the next one once."""
    async with Onlooker(own) as eye, Onlooker(own) as hand:
        await eye.listen("a")
        own.partner.behave(manner("duplicate", ["for=1"]))
        await hand.publish("a", b"1")
        await hand.publish("a", b"2")
        await until(lambda: b"2" in eye.bodies)
    assert eye.bodies == [b"1", b"1", b"2"]


def test_what_makes_no_sense_is_said(own: Own) -> None:
    """With what to use instead."""
    with pytest.raises(BadRequest, match="makes no sense for meters: a broker says how it went by a reason code"):
        own.partner.behave(manner("200-with-error"))


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\xff\xff\xff\xff\xff",
        b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x3c\x00\x00",
        b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00",
        b"\x30\x05\x00\x01axx",
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a\x82\x06\x00\x01\x00\x01a\xfc",
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a\x32\x06\x00\x02a#\x00\x01",
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a\x36\x06\x00\x01a\x00\x01x",
    ],
)
async def test_what_is_not_mqtt_ends_its_own_connection(own: Own, raw: bytes) -> None:
    """And no other one."""
    async with Onlooker(own) as eye:
        await eye.listen("a")
        reader, writer = await asyncio.open_connection("127.0.0.1", own.port)
        writer.write(raw)
        async with asyncio.timeout(30):
            while await reader.read(100):
                pass
        writer.close()
        await eye.publish("a", b"still there")
        await until(lambda: eye.bodies == [b"still there"])


async def test_what_it_offers_is_published_and_a_stopped_one_refuses(own: Own) -> None:
    """`offer` is a message on a topic; stopped, its port refuses, and it comes back there."""
    async with Onlooker(own) as eye:
        await eye.listen("meters/+")
        await own.partner.offer("meters/1", b"20.5")
        await until(lambda: eye.bodies == [b"20.5"])
        with pytest.raises(BadRequest):
            await own.partner.offer("meters/#", b"")
    await own.partner.stop()
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", own.port)) != 0
    await own.partner.start()
    assert own.partner.status()["listening"] is True
