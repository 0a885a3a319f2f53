"""Publishing to a real broker: what it confirms, what it refuses, and what is not known when something breaks."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from adapters.mqtt import Mqtt
from pipe.config.units import Secret
from pipe.contract import Blob, Examinable, Sink, Source
from pipe.errors import BadHeader, Busy, NoAnswer, NotAuthorised, PipeError, Refused, TlsFailed, Unreachable
from pipe.testing import FaultProxy, faults
from tests.adapters.mqtt_bench import (
    Mosquitto,
    Nats,
    Onlooker,
    adapter,
    attempt,
    config,
    opened,
    running,
    session,
    subscription,
    target,
    until,
)  # fmt: skip

pytestmark = pytest.mark.debian


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A mosquitto that takes at most 64 KiB."""
    async with running(Mosquitto(tmp_path, "max_packet_size 65536")) as started:
        yield started


@pytest.fixture
async def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mosquitto]:
    """A mosquitto that knows `gw` by password, and lets it publish below `out` only."""
    path = tmp_path / "users"
    path.write_text("gw:gw-password\nother:other-password\n", encoding="utf-8")
    subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True)
    (tmp_path / "acl").write_text("user gw\ntopic readwrite out/#\ntopic readwrite in/#\n", encoding="utf-8")
    lines = (f"password_file {path}", f"acl_file {tmp_path / 'acl'}")
    async with running(Mosquitto(tmp_path, *lines, anonymous=False)) as started:
        yield started


def secret(folder: Path, value: str) -> Secret:
    """A secret in a file."""
    (folder / "password").write_text(value, encoding="utf-8")
    return Secret(f"${{file:{folder / 'password'}}}")


async def outcome(made: Mqtt, to: Any, *, seconds: float = 1.0) -> str:
    """What one attempt brings: its status, or the name of its error."""
    try:
        return str((await made.send(attempt(b"x", to, seconds=seconds))).status)
    except PipeError as error:
        return type(error).__name__


def test_it_is_source_and_sink(tmp_path: Path) -> None:
    """Of one connection in the configuration; and it can be examined."""
    made = adapter(Mosquitto(tmp_path))
    assert isinstance(made, Source)
    assert isinstance(made, Sink)
    assert isinstance(made, Examinable)


@pytest.mark.key("to.mqtt.qos", "to.mqtt.retain")
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_each_quality_arrives(broker: Mosquitto, qos: int) -> None:
    """With 0 the receipt says written, with 1 and 2 confirmed; what is retained is there for those who come later."""
    async with opened(adapter(broker)) as made:
        receipt = await made.send(attempt(b"x", target("out/a", qos=qos, retain=True)))
        assert receipt.status == ("confirmed" if qos else "written")
        async with Onlooker(broker) as eye:
            await until(lambda: "out/a" in broker.said())
            await eye.listen("out/a")
            await until(lambda: eye.bodies == [b"x"])
    assert eye.messages[0].retain
    assert made.natural(target(qos=qos)) is (qos == 1)


@pytest.mark.key("to.mqtt.properties", "to.mqtt.response_topic", "to.mqtt.correlation", "to.mqtt.expires")
async def test_what_version_5_says_besides_arrives(broker: Mosquitto) -> None:
    """User properties, response topic, correlation, expiry, content type; our id, so that a repetition can be told."""
    to = target(
        "out/a", properties={"region": "${params.region}"}, response_topic="answers/${message.id}",
        correlation="hex:00ff", expires="90s",
    )  # fmt: skip
    async with Onlooker(broker) as eye, opened(adapter(broker)) as made:
        await eye.listen("out/a")
        await made.send(attempt(b"x", to, params={"region": "київ"}))
        await until(lambda: eye.messages)
    said: Any = eye.messages[0].properties
    assert said.UserProperty == [("pipe_message_id", "delivery-1"), ("region", "київ")]
    assert (said.ResponseTopic, said.CorrelationData) == ("answers/message-1", b"\x00\xff")
    assert (said.MessageExpiryInterval, said.ContentType) == (90, "application/octet-stream")


@pytest.mark.key("to.mqtt.respond")
async def test_a_request_is_answered_where_it_asks(broker: Mosquitto) -> None:
    """On its response topic, with its correlation; elsewhere than `respond` allows, or nowhere, is a dead letter."""
    to = target(publish=None, respond="answers/{who}")
    asked = {"response_topic": "answers/m-7", "correlation": "hex:00ff"}
    async with Onlooker(broker) as eye, opened(adapter(broker)) as made:
        await eye.listen("answers/+")
        await made.send(attempt(b"x", to, headers=asked))
        await until(lambda: eye.messages)
        for headers in ({"response_topic": "meters/m-7"}, {"response_topic": "answers/#"}, {}):
            with pytest.raises(BadHeader):
                await made.send(attempt(b"x", to, headers=headers))
    said: Any = eye.messages[0].properties
    assert (eye.messages[0].topic, said.CorrelationData) == ("answers/m-7", b"\x00\xff")


def test_what_3_1_1_cannot_say_is_told_when_the_configuration_is_read(tmp_path: Path) -> None:
    """Not left out in silence."""
    to = target(expires="90s", properties={"a": "b"})
    made = object.__new__(Mqtt)
    said = made.review(config(Mosquitto(tmp_path, version="3.1.1")), to)
    assert [text.split()[0] for text in said] == ["`expires`", "`properties`"]
    assert made.review(config(Mosquitto(tmp_path)), to) == []


def test_routes_that_would_share_messages_collide() -> None:
    """A message belongs to one route of a connection."""
    made = object.__new__(Mqtt)
    assert made.collides(subscription("a/{x}"), subscription("a/b"))
    assert not made.collides(subscription("a/{x}"), subscription("b/{x}"))


async def test_messages_of_one_connection_stay_in_order(broker: Mosquitto) -> None:
    """Two thousand, eight at a time."""
    async with Onlooker(broker) as eye, opened(adapter(broker)) as made:
        await eye.listen("out/a")
        for start in range(0, 2000, 8):
            bodies = [b"%d" % number for number in range(start, start + 8)]
            await asyncio.gather(*(made.send(attempt(body, target("out/a"), seconds=9)) for body in bodies))
        await until(lambda: len(eye.bodies) == 2000)
    assert eye.bodies == [b"%d" % number for number in range(2000)]


async def test_what_is_too_large_for_the_broker_is_not_sent(broker: Mosquitto, tmp_path: Path) -> None:
    """Refused by its own words at sign-in; the connection stands. A file is read and sent like any body."""
    (tmp_path / "blob").write_bytes(b"y" * 60_000)
    async with Onlooker(broker) as eye, opened(adapter(broker)) as made:
        await eye.listen("out/a")
        with pytest.raises(Refused, match="takes at most 65536 bytes"):
            await made.send(attempt(b"x" * 65_536, target("out/a")))
        await made.send(attempt(b"", target("out/a"))._replace(
            message=attempt(b"", target("out/a")).message.but(body=Blob(tmp_path / "blob", 60_000, ""))
        ))  # fmt: skip
        await until(lambda: eye.bodies)
    assert eye.bodies == [b"y" * 60_000]


@pytest.mark.key("mqtt.username", "mqtt.password")
async def test_a_password_is_read_anew_at_each_connect(guarded: Mosquitto, tmp_path: Path) -> None:
    """Wrong, it stops the connection by name and is shown nowhere; mended in its file, the next attempt succeeds."""
    password = secret(tmp_path, "wr0ng-word")
    async with opened(adapter(guarded, username="gw", password=password)) as made:
        with pytest.raises(NotAuthorised) as caught:
            await made.send(attempt(b"x", target("out/a")))
        health = await made.check()
        (tmp_path / "password").write_text("gw-password", encoding="utf-8")
        os.utime(tmp_path / "password", (1, 1))
        assert await outcome(made, target("out/a")) == "confirmed"
        assert (await made.check()).state == "up"
    assert health.state == "down"
    assert "wr0ng" not in str(caught.value) + health.reason + repr(made.config)


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_topic_that_is_forbidden_condemns_the_message_only(
    guarded: Mosquitto, tmp_path: Path, qos: int
) -> None:
    """PUBACK or PUBREC says no: a dead letter, and the connection serves the others."""
    async with opened(adapter(guarded, username="gw", password=secret(tmp_path, "gw-password"))) as made:
        with pytest.raises(Refused, match=r"Not authorized \(0x87\)"):
            await made.send(attempt(b"x", target("secret/a", qos=qos)))
        # mosquitto 2.0.11 ends the connection after it has refused; the next attempts make another one.
        assert [await outcome(made, target("out/a", qos=qos)) for _ in range(3)][-1] == "confirmed"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (faults.Refuse(), Unreachable),
        (faults.AcceptThenClose(), Unreachable),
        (faults.Cut(after=1), Unreachable),  # CONNACK broke off: no message was sent
        (faults.Swallow(), Unreachable),
        (faults.HalfOpen(), Unreachable),
        (faults.Garbage(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Unreachable),
    ],
)
async def test_before_it_is_signed_in_nothing_is_uncertain(
    broker: Mosquitto, fault: faults.Fault, name: type[PipeError]
) -> None:
    """Healed, the next attempt of the same adapter succeeds."""
    async with FaultProxy(("127.0.0.1", broker.port)) as proxy, opened(adapter(broker, port=proxy.port)) as made:
        await proxy.turn(fault)
        assert await outcome(made, target("out/a"), seconds=0.5) == name.__name__
        await proxy.heal()
        assert await outcome(made, target("out/a")) == "confirmed"


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize(
    "fault",
    [faults.Cut(after=0), faults.Reset(after=1), faults.Swallow(towards="client"), faults.HalfOpen(), faults.Delay(2)],
    ids=lambda fault: type(fault).__name__,
)
async def test_between_publish_and_its_confirmation_nobody_knows(
    broker: Mosquitto, fault: faults.Fault, qos: int
) -> None:
    """Uncertain, in time; healed, the next attempt of the same adapter succeeds on a new connection."""
    to = target("out/a", qos=qos)
    async with FaultProxy(("127.0.0.1", broker.port)) as proxy, opened(adapter(broker, port=proxy.port)) as made:
        assert await outcome(made, to) == "confirmed"
        await proxy.turn(fault)
        assert await outcome(made, to, seconds=0.4) == NoAnswer.__name__
        await proxy.heal()
        assert await outcome(made, to) == "confirmed"


class FullNats(Nats):
    """Has room for 1 MB."""

    def command(self) -> Sequence[str]:
        """See Broker."""
        command = super().command()
        path = Path(command[2])
        path.write_text(path.read_text(encoding="utf-8").replace("store_dir", "max_file: 1MB, store_dir"))
        return command


async def test_a_full_broker_confirms_nothing_that_it_does_not_keep(tmp_path: Path) -> None:
    """What is called delivered has arrived; the rest fails by name and is tried again."""
    confirmed = 0
    async with running(FullNats(tmp_path)) as broker, Onlooker(broker) as eye, opened(adapter(broker)) as made:
        await session(broker, "away", "out/a")  # for whom everything is kept
        await eye.listen("out/a")
        bodies = [b"%03d" % number + b"x" * 65_000 for number in range(100)]
        try:
            for body in bodies:
                await made.send(attempt(body, target("out/a")))
                confirmed += 1
        except (NoAnswer, Unreachable, Busy) as error:
            assert error.verdict in {"retry", "uncertain"}  # noqa: PT017
        await until(lambda: len(eye.bodies) >= confirmed, "what was confirmed")
    assert 0 < confirmed < 100
    assert [body[:3] for body in eye.bodies][:confirmed] == [b"%03d" % number for number in range(confirmed)]


class CrowdedNats(Nats):
    """Takes one client."""

    def extra(self) -> str:
        """See Nats."""
        return "max_connections: 1\n"


async def test_a_broker_with_too_many_clients_is_tried_again(tmp_path: Path) -> None:
    """It takes the connection and ends it; once there is room the same adapter is let in."""
    async with running(CrowdedNats(tmp_path)) as broker, opened(adapter(broker)) as made:
        async with Onlooker(broker):
            assert await outcome(made, target("out/a")) == Unreachable.__name__
        await until(lambda: "DISCONNECT]" in broker.said(), "room")
        assert await outcome(made, target("out/a")) == "confirmed"


async def test_a_broker_that_hangs_does_not_delay_the_end(broker: Mosquitto) -> None:
    """`close` is polite for a second at most."""
    async with FaultProxy(("127.0.0.1", broker.port)) as proxy:
        made = adapter(broker, port=proxy.port)
        await made.open()
        assert await outcome(made, target("out/a")) == "confirmed"
        await proxy.turn(faults.HalfOpen())
        async with asyncio.timeout(5):
            await made.close()


async def test_a_broker_that_is_started_again_is_found_again(broker: Mosquitto) -> None:
    """Unreachable while it is away."""
    async with opened(adapter(broker)) as made:
        assert await outcome(made, target("out/a")) == "confirmed"
        await broker.stop(kill=True)
        await until(lambda: made._out is not None and made._out.lost)
        assert await outcome(made, target("out/a")) == "Unreachable"
        await broker.start()
        assert await outcome(made, target("out/a")) == "confirmed"


@pytest.mark.key(
    "mqtt.will", "mqtt.will.topic", "mqtt.will.body", "mqtt.will.qos", "mqtt.will.retain"
)  # fmt: skip
async def test_the_will_is_published_when_we_are_gone_without_a_word(broker: Mosquitto) -> None:
    """And not when we say goodbye."""
    will = {"topic": "gateways/gw", "body": "offline", "qos": 1, "retain": True}
    async with Onlooker(broker) as eye:
        await eye.listen("gateways/gw")
        async with opened(adapter(broker, will=will)) as made:
            assert await outcome(made, target("out/a")) == "confirmed"
        await eye.publish("gateways/gw", b"still well")
        await until(lambda: eye.bodies)
        async with opened(adapter(broker, will=will)) as made:
            assert await outcome(made, target("out/a")) == "confirmed"
            assert made._out is not None
            made._out.drop("the test cut it")
            await until(lambda: len(eye.bodies) == 2)
    assert eye.bodies == [b"still well", b"offline"]


class Authority:
    """Certificates of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ca = folder, trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.issue("server", "127.0.0.1")
        self.issue("gw", "gw@example.org")

    def issue(self, name: str, *identities: str) -> None:
        """Writes NAME.pem and NAME.key."""
        made = self.ca.issue_cert(*identities)
        made.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        (self.folder / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))

    def lines(self, *, mutual: bool) -> tuple[str, ...]:
        """Of mosquitto's configuration."""
        folder = self.folder
        own = (f"certfile {folder}/server.pem", f"keyfile {folder}/server.key", f"cafile {folder}/ca.pem")
        return (*own, f"require_certificate {'true' if mutual else 'false'}")


def over_tls(broker: Mosquitto, **keys: Any) -> Mqtt:
    """An adapter that asks for TLS."""
    return adapter(broker, url=f"mqtts://127.0.0.1:{broker.port}", **keys)


@pytest.mark.key("mqtt.tls", "mqtt.mtls")
async def test_tls_is_checked_both_ways(tmp_path: Path) -> None:
    """A broker of an unknown authority is refused, a foreign name too; ours is shown where it is demanded."""
    authority = Authority(tmp_path)
    tls = {"ca": tmp_path / "ca.pem"}
    mtls = {"cert": tmp_path / "gw.pem", "key": tmp_path / "gw.key"}
    async with running(Mosquitto(tmp_path, *authority.lines(mutual=True))) as broker:
        async with opened(over_tls(broker, tls=tls, mtls=mtls)) as made:
            assert await outcome(made, target("out/a"), seconds=3) == "confirmed"
            assert (await made.check()).state == "up"
        async with opened(over_tls(broker, mtls=mtls)) as made:
            with pytest.raises(TlsFailed, match="authority"):
                await made.send(attempt(b"x", target("out/a")))
        async with opened(over_tls(broker, tls={**tls, "server_name": "other.example"}, mtls=mtls)) as made:
            with pytest.raises(TlsFailed, match="another name"):
                await made.send(attempt(b"x", target("out/a")))
        async with opened(over_tls(broker, tls=tls)) as made:
            assert await outcome(made, target("out/a")) in {"TlsFailed", "Unreachable"}
        async with opened(adapter(broker)) as made:
            assert await outcome(made, target("out/a")) == "Unreachable"
    assert ssl.HAS_TLSv1_3


@pytest.mark.key("mqtt.allow")
async def test_a_name_leads_only_where_the_configuration_allows(broker: Mosquitto) -> None:
    """A name that leads to this machine needs `allow: networks`."""
    url = f"mqtt://localhost:{broker.port}"
    async with opened(adapter(broker, url=url)) as made:
        assert await outcome(made, target("out/a")) == "AddressForbidden"
    async with opened(adapter(broker, url=url, allow={"networks": ["127.0.0.0/8", "::1/128"]})) as made:
        assert await outcome(made, target("out/a")) == "confirmed"


async def rungs(made: Mqtt, *uses: Any) -> list[tuple[str, str]]:
    """What an examination says."""
    found = [rung async for rung in made.examine(uses)]
    assert all(rung.text and (rung.state == "ok" or rung.hint) for rung in found)
    return [(rung.name, rung.state) for rung in found]


async def test_an_examination_climbs_to_the_first_thing_that_fails(guarded: Mosquitto, tmp_path: Path) -> None:
    """Name, TCP, sign-in, right to listen; it pushes nobody out and publishes nothing."""
    good = secret(tmp_path, "gw-password")
    made = adapter(guarded, username="gw", password=good)
    up = [("name", "ok"), ("tcp", "ok")]
    uses = (subscription("in/{n}", share="g"), target("out/${message.id}"))
    assert await rungs(made, *uses) == [*up, ("sign-in", "ok"), ("listen", "ok"), ("publish", "warn")]
    assert "$share" not in guarded.said()
    assert "Received PUBLISH" not in guarded.said()
    assert await rungs(adapter(guarded)) == [*up, ("sign-in", "fail")]
    await guarded.stop()
    assert await rungs(made) == [("name", "ok"), ("tcp", "fail")]


async def test_an_examination_looks_at_the_certificate(tmp_path: Path) -> None:
    """Days left, or which check fails."""
    authority = Authority(tmp_path)
    async with running(Mosquitto(tmp_path, *authority.lines(mutual=False))) as broker:
        found = [rung async for rung in over_tls(broker, tls={"ca": tmp_path / "ca.pem"}).examine(())]
        assert [(rung.name, rung.state) for rung in found][2:] == [("tls", "ok"), ("sign-in", "ok")]
        assert found[2].text.endswith("days left")
        assert await rungs(over_tls(broker)) == [("name", "ok"), ("tcp", "ok"), ("tls", "fail")]
