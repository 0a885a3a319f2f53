"""Listening to a real broker: what comes, in which order, told when, and what becomes of it when something breaks."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.mqtt import Mqtt
from pipe.config.units import Secret
from pipe.errors import NotAuthorised, StoreUnavailable, Unreachable
from pipe.testing import FakeDoor, FakeServices, FaultProxy, faults
from pipe.testing.clock import FakeClock
from tests.adapters.mqtt_bench import (
    Broker,
    Listening,
    Mosquitto,
    Nats,
    Onlooker,
    adapter,
    config,
    running,
    session,
    subscription,
    until,
)  # fmt: skip

pytestmark = pytest.mark.debian


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A mosquitto that has a session for us."""
    async with running(Mosquitto(tmp_path)) as started:
        await session(started, "gw", "in/+")
        yield started


async def listening_to(broker: Mosquitto, what: str) -> None:
    """Returns once the broker knows of our subscription."""
    await until(lambda: f"gw 1 {what}" in broker.said() or f"gw 0 {what}" in broker.said(), "our subscription")


@pytest.mark.key("mqtt.url", "mqtt.client_id", "mqtt.version")
@pytest.mark.parametrize("version", ["5.0", "3.1.1"])
async def test_a_message_comes_with_its_topic_and_names(tmp_path: Path, version: str) -> None:
    """Levels as params; topic, qos and the retain flag as headers."""
    async with running(Mosquitto(tmp_path, version=version)) as broker:
        await session(broker, "gw", "meters/+/reading")
        door = FakeDoor(subscription("meters/{meter}/reading"))
        async with Onlooker(broker) as hand, Listening(adapter(broker), door):
            await hand.publish("meters/m-7/reading", b"20.5")
            await door.arrived()
    (came,) = door.arrivals
    assert (came.params, came.body) == ({"meter": "m-7"}, b"20.5")
    assert dict(came.headers) == {"topic": "meters/m-7/reading", "qos": "1", "retain": "false"}


async def test_what_version_5_says_besides_becomes_headers(broker: Mosquitto) -> None:
    """User properties under lower_snake names, response topic, correlation, content type; ours are not replaced."""
    door = FakeDoor(subscription())
    said: dict[str, Any] = {
        "UserProperty": [("X-Region", "kyiv"), ("x-region", "lviv"), ("topic", "forged"), ("n", "їжак")],
        "ResponseTopic": "answers/7", "CorrelationData": b"\x00\xff", "ContentType": "application/json",
    }  # fmt: skip
    async with Onlooker(broker) as hand, Listening(adapter(broker), door):
        await hand.publish("in/a", b"{}", **said)
        await hand.publish("in/b", b"{}", CorrelationData=b"order-7")
        await door.arrived(2)
    first, second = door.arrivals
    assert first.content_type == "application/json"
    assert {name: first.headers[name] for name in ("x_region", "topic", "n", "response_topic", "correlation")} == {
        "x_region": "kyiv, lviv", "topic": "in/a", "n": "їжак", "response_topic": "answers/7",
        "correlation": "hex:00ff",
    }  # fmt: skip
    assert second.headers["correlation"] == "order-7"


@pytest.mark.parametrize("kind", [Mosquitto, Nats])
async def test_ten_thousand_messages_come_in_order(tmp_path: Path, kind: type[Broker]) -> None:
    """Each once."""
    count = 10_000 if kind is Mosquitto else 2_000
    async with running(kind(tmp_path)) as broker:
        await session(broker, "gw", "in/+")
        door = FakeDoor(subscription())
        async with Onlooker(broker) as hand, Listening(adapter(broker), door):
            for number in range(count):
                info = hand.client.publish("in/x", b"%d" % number, 1)
            async with asyncio.timeout(60):
                await door.arrived(count)
            await until(info.is_published, "the broker's word for the last one")
    assert door.bodies == [b"%d" % number for number in range(count)]


@pytest.mark.key("from.mqtt.share")
async def test_a_shared_subscription_divides_the_messages(broker: Mosquitto) -> None:
    """Each message reaches one member of the group."""
    doors = [FakeDoor(subscription("job/{n}", share="workers")) for _ in range(2)]
    one, other = (Listening(adapter(broker, client_id=f"gw{n}"), door) for n, door in enumerate(doors))
    async with one, other, Onlooker(broker) as hand:
        await until(lambda: broker.said().count("$share/workers/job/+") >= 2, "both subscriptions")
        for number in range(20):
            await hand.publish(f"job/{number}", b"%d" % number)
        await until(lambda: sum(len(door.arrivals) for door in doors) == 20, "twenty arrivals")
    assert sorted(doors[0].bodies + doors[1].bodies) == sorted(b"%d" % number for number in range(20))
    assert all(door.arrivals for door in doors)


@pytest.mark.key("from.mqtt.retained")
@pytest.mark.parametrize(("version", "retained"), [("5.0", True), ("5.0", False), ("3.1.1", True), ("3.1.1", False)])
async def test_what_the_broker_kept_is_taken_or_not(tmp_path: Path, version: str, retained: bool) -> None:
    """With `retained: false` only what is published from now on."""
    door = FakeDoor(subscription("state/{name}", retained=retained))
    async with running(Mosquitto(tmp_path, version=version)) as broker, Onlooker(broker) as hand:
        await hand.publish("state/a", b"kept", retain=True)
        async with Listening(adapter(broker), door):
            await listening_to(broker, "state/+")
            await hand.publish("state/b", b"new")
            await until(lambda: b"new" in door.bodies)
    assert door.bodies == ([b"kept", b"new"] if retained else [b"new"])


async def test_what_the_broker_kept_does_not_come_again_with_each_connection(broker: Mosquitto) -> None:
    """With 5.0 it comes for a new subscription only."""
    made, door = adapter(broker), FakeDoor(subscription("state/{name}"))
    async with Onlooker(broker) as hand:
        await hand.publish("state/a", b"kept", retain=True)
        async with Listening(made, door) as listening:
            await door.arrived()
            link = made._receiver._link
            assert link is not None
            link.drop("the test cut it")
            await until(lambda: broker.said().count("gw 1 state/+") == 2, "the second subscription")
            await hand.publish("state/b", b"new")
            await until(lambda: b"new" in door.bodies)
    assert (door.bodies, len(listening.failures)) == ([b"kept", b"new"], 1)


@pytest.mark.key("from.mqtt.qos")
async def test_with_qos_0_nothing_is_acknowledged(broker: Mosquitto) -> None:
    """And the route says that it is at most once."""
    made, door = adapter(broker), FakeDoor(subscription("plain/{n}", qos=0))
    async with Onlooker(broker) as hand, Listening(made, door):
        await listening_to(broker, "plain/+")
        await hand.publish("plain/1", b"x")
        await door.arrived()
    assert (door.arrivals[0].headers["qos"], door.arrivals[0].identity) == ("0", None)
    assert broker.acknowledged("gw") == []
    assert made.guarantee(subscription(qos=0))[0] == "at-most-once"
    assert made.guarantee(subscription()) == "at-least-once"


async def test_what_was_published_with_qos_2_comes_with_1(broker: Mosquitto) -> None:
    """The journal cannot share in a handshake of four; the acknowledgement after the commit it can."""
    door = FakeDoor(subscription())
    async with Onlooker(broker) as hand, Listening(adapter(broker), door):
        await hand.publish("in/x", b"x", qos=2)
        await door.arrived()
        await until(lambda: broker.acknowledged("gw") == ["in/x"], "the acknowledgement")
    assert door.arrivals[0].headers["qos"] == "1"


@pytest.mark.key("mqtt.receive")
@pytest.mark.parametrize("most", [1, 4])
async def test_a_store_that_refuses_stops_the_flow(broker: Mosquitto, most: int) -> None:
    """The broker sends `receive` messages and no more; when the store is well all come, each once; with 1 in order."""
    made, door = adapter(broker, receive=most), FakeDoor(subscription())
    door.refusals = [StoreUnavailable() for _ in range(12)]
    clock = made._services.clock
    assert isinstance(clock, FakeClock)
    async with Onlooker(broker) as hand, Listening(made, door):
        for number in range(40):
            await hand.publish("in/x", b"%d" % number)
        await door.knocked()
        await until(lambda: broker.said().count("Sending PUBLISH to gw ") == most, "what it may send")
        await asyncio.sleep(0.1)
        sent = broker.said().count("Sending PUBLISH to gw ")
        refused = (sent, door.bodies, broker.acknowledged("gw"))
        while door.refusals:
            await clock.advance(60)
            await asyncio.sleep(0.05)
        await clock.advance(60)
        await door.arrived(40)
    assert refused == (most, [], [])
    numbers = [int(body) for body in door.bodies]
    assert (numbers if most == 1 else sorted(numbers)) == list(range(40))


async def test_a_repetition_is_taken_once_where_it_can_be_told(broker: Mosquitto) -> None:
    """Safe in the journal, but the connection broke before the broker heard of it: it sends again, we store once."""
    door = FakeDoor(subscription())
    door.held = asyncio.Event()
    async with (
        FaultProxy(("127.0.0.1", broker.port)) as proxy,
        Onlooker(broker) as hand,
        Listening(adapter(broker, port=proxy.port), door) as listening,
    ):
        for body in (b"one", b"one", b"two"):
            await hand.publish("in/x", body)
        await until(lambda: broker.said().count("Sending PUBLISH to gw ") == 3, "the three messages")
        await asyncio.sleep(0.1)
        proxy.drop()
        await asyncio.sleep(0.1)
        door.held.set()
        await until(lambda: len(broker.acknowledged("gw")) == 3, "the acknowledgements")
    assert [type(failure) for failure in listening.failures] == [Unreachable]
    assert broker.repeated("gw") == 3
    assert (door.asked, door.bodies) == (6, [b"one", b"one", b"two"])


async def test_the_same_message_twice_is_two_messages(broker: Mosquitto) -> None:
    """Same topic, same bytes, but no repetition: a meter may read the same value twice."""
    door = FakeDoor(subscription())
    async with Onlooker(broker) as hand, Listening(adapter(broker), door):
        for _ in range(5):
            await hand.publish("in/x", b"20.5")
        await door.arrived(5)
    assert door.bodies == [b"20.5"] * 5


@pytest.mark.key("mqtt.session")
async def test_the_broker_keeps_what_comes_while_we_are_away(broker: Mosquitto) -> None:
    """With a session; without one (`0s`) it is a plain listener."""
    kept, plain = FakeDoor(subscription("in/{n}")), FakeDoor(subscription("in/{n}"))
    async with Onlooker(broker) as hand:
        for name, door, keep in (("kept", kept, "1h"), ("plain", plain, "0s")):
            async with Listening(adapter(broker, client_id=name, session=keep), door):
                await until(lambda name=name: f"{name} 1 in/+" in broker.said(), "the subscription")  # type: ignore[misc]
        await hand.publish("in/x", b"while away")
        for name, door, keep in (("kept", kept, "1h"), ("plain", plain, "0s")):
            async with Listening(adapter(broker, client_id=name, session=keep), door):
                await until(lambda name=name: broker.said().count(f"{name} 1 in/+") == 2, "it again")  # type: ignore[misc]
                await hand.publish("in/x", b"now")
                await until(lambda door=door: b"now" in door.bodies)  # type: ignore[misc]
    assert kept.bodies[0] == b"while away"
    assert b"while away" not in plain.bodies


@pytest.mark.parametrize("kill", [False, True])
async def test_a_broker_that_is_started_again_loses_nothing(tmp_path: Path, kill: bool) -> None:
    """Killed or stopped in the middle: what it confirmed to the publisher is stored."""
    async with running(Mosquitto(tmp_path, "autosave_interval 1", "autosave_on_changes true")) as broker:
        await session(broker, "gw", "in/+")
        door = FakeDoor(subscription())
        async with Listening(adapter(broker), door) as listening:
            for part in range(2):
                async with Onlooker(broker) as hand:
                    for number in range(100):
                        await hand.publish("in/x", b"%d-%d" % (part, number))
                if part == 0:
                    await door.arrived(100)
                    await broker.stop(kill=kill)
                    await until(lambda: listening.failures, "the loss")
                    await broker.start()
                    await until(lambda: broker.said().count("Sending CONNACK to gw") == 3, "our return")
            await until(lambda: len(set(door.bodies)) == 200, "all")
    assert isinstance(listening.failures[0], Unreachable)
    assert set(door.bodies) == {b"%d-%d" % (part, number) for part in range(2) for number in range(100)}


async def test_doors_that_change_change_the_subscriptions(broker: Mosquitto) -> None:
    """New topics are asked for, old ones given back, on the same connection."""
    first, second = FakeDoor(subscription("one/{n}")), FakeDoor(subscription("two/{n}"), route="second")
    async with Onlooker(broker) as hand, Listening(adapter(broker), first) as listening:
        await listening_to(broker, "one/+")
        await listening.doors.replace([second])
        await listening_to(broker, "two/+")
        await hand.publish("one/1", b"old")
        await hand.publish("two/1", b"new")
        await second.arrived()
    assert (first.bodies, second.bodies, listening.failures) == ([], [b"new"], [])


@pytest.mark.parametrize("kind", [Mosquitto, Nats])
async def test_a_topic_of_earlier_days_is_given_back(tmp_path: Path, kind: type[Broker]) -> None:
    """The configuration was changed while the gateway was away: the session loses old topics, and no messages."""
    services = FakeServices()
    old, new = FakeDoor(subscription("old/{n}")), FakeDoor(subscription("new/{n}"))
    both = FakeDoor(subscription("both/{n}"), route="both")
    async with running(kind(tmp_path)) as broker, Onlooker(broker) as hand:
        async with Listening(Mqtt("broker", config(broker), services), old, both):
            await hand.publish("old/1", b"1", retain=True)  # so that it comes, whether we listen yet or not
            await until(lambda: broker.acknowledged("gw") == ["old/1"], "the acknowledgement")
        await hand.publish("both/1", b"waits")
        made = Mqtt("broker", config(broker), services)
        async with Listening(made, new, both):
            await both.arrived()
            await hand.publish("new/1", b"2", retain=True)
            await new.arrived()
            await hand.publish("old/2", b"nobody's")
            await hand.publish("new/2", b"3")
            await new.arrived(2)
            health = await made.check()
    assert (old.bodies, new.bodies, both.bodies) == ([b"1"], [b"2", b"3"], [b"waits"])
    assert health.state == "up", health
    assert services.notes["broker", "topics"]["topics"] == ["both/+", "new/+"]


async def test_a_message_for_no_route_does_not_block_the_others(broker: Mosquitto) -> None:
    """The session remembers a topic from earlier days; it is let go, and the connection says so."""
    await session(broker, "gw", "old/+")
    made, door = adapter(broker), FakeDoor(subscription())
    async with Onlooker(broker) as hand, Listening(made, door):
        await hand.publish("old/x", b"x")
        await hand.publish("in/a", b"y")
        await door.arrived()
        health = await made.check()
    assert (health.state, door.bodies) == ("degraded", [b"y"])
    assert "no route listens" in health.reason


async def test_a_topic_that_we_may_not_listen_to_is_named(tmp_path: Path) -> None:
    """SUBACK says no: the source fails with the topic in its words."""
    door = FakeDoor(subscription("secret/{n}"))
    async with (
        running(NatsWithRights(tmp_path)) as broker,
        Listening(adapter(broker, username="gw"), door) as listening,
    ):
        await until(lambda: listening.failures, "the refusal")
    assert isinstance(listening.failures[0], NotAuthorised)
    assert "'secret/+'" in listening.failures[0].text


class NatsWithRights(Nats):
    """Its user `gw` may listen below `in` only."""

    def extra(self) -> str:
        """See Nats."""
        return (
            'accounts { A { jetstream: enabled, users: [{ user: gw, password: "", permissions: '
            '{ subscribe: { deny: ["secret.>"] } } }] } }\n'
        )


async def test_a_wrong_password_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    """The broker keeps what comes meanwhile; with the right one it all arrives."""
    users, password = tmp_path / "users", tmp_path / "password"
    users.write_text("gw:gw-password\nhand:hand-password\n", encoding="utf-8")
    subprocess.run(["mosquitto_passwd", "-U", str(users)], check=True)
    password.write_text("wr0ng", encoding="utf-8")
    door = FakeDoor(subscription())
    async with running(Mosquitto(tmp_path, f"password_file {users}", anonymous=False)) as broker:
        async with Onlooker(broker, "gw", clean=False, user="gw") as before:
            await before.listen("in/+")
        made = adapter(broker, username="gw", password=Secret(f"${{file:{password}}}"))
        async with Onlooker(broker, user="hand") as hand, Listening(made, door) as listening:
            await until(lambda: listening.failures, "the refusal")
            await hand.publish("in/a", b"meanwhile")
            password.write_text("gw-password", encoding="utf-8")
            await door.arrived()
    assert {type(failure) for failure in listening.failures} == {NotAuthorised}
    assert "wr0ng" not in str(listening.failures)
    assert door.bodies == [b"meanwhile"]


async def test_who_takes_our_name_is_told(broker: Mosquitto) -> None:
    """Two clients of one name push each other out; the reason says so."""
    async with Listening(adapter(broker), FakeDoor(subscription("in/{n}"))) as listening:
        await listening_to(broker, "in/+")
        async with Onlooker(broker, "gw", clean=False):
            await until(lambda: listening.failures, "the loss")
            await listening.stop()
    assert "another client uses the name gw" in str(listening.failures[0])


@pytest.mark.key("mqtt.keepalive")
async def test_a_half_open_broker_is_noticed(broker: Mosquitto) -> None:
    """Nothing comes and nothing ends: after two silences of `keepalive` the link is lost, and made anew."""
    door = FakeDoor(subscription())
    async with (
        FaultProxy(("127.0.0.1", broker.port)) as proxy,
        Onlooker(broker) as hand,
        Listening(adapter(broker, port=proxy.port, keepalive="1s"), door) as listening,
    ):
        await until(lambda: "gw 1 in/+" in broker.said(), "the subscription")
        await proxy.turn(faults.HalfOpen())
        await hand.publish("in/x", b"meanwhile")
        await until(lambda: listening.failures, "the loss")
        await proxy.heal()
        await door.arrived()
    assert "silent for too long" in str(listening.failures[0])
    assert door.bodies == [b"meanwhile"]


async def test_what_is_no_mqtt_ends_the_link(broker: Mosquitto) -> None:
    """A thread that meets nonsense does not die in silence."""
    async with (
        FaultProxy(("127.0.0.1", broker.port)) as proxy,
        Onlooker(broker) as hand,
        Listening(adapter(broker, port=proxy.port), FakeDoor(subscription())) as listening,
    ):
        await until(lambda: "gw 1 in/+" in broker.said(), "the subscription")
        await proxy.turn(faults.Garbage(b"\x32\x03\xff\xff\xff" * 20))
        await hand.publish("in/x", b"x")
        await until(lambda: listening.failures, "the loss")
    assert isinstance(listening.failures[0], Unreachable)


async def test_a_large_message_is_handed_in_whole(broker: Mosquitto) -> None:
    """Two mebibytes, through the spool; whether it is too large its door decides."""
    door = FakeDoor(subscription())
    body = bytes(range(256)) * 8192
    async with Onlooker(broker) as hand, Listening(adapter(broker), door):
        await hand.publish("in/x", body)
        await door.arrived()
    assert door.bodies == [body]
