"""The whole gateway between two topics of a real broker, killed without warning while messages flow."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.adapters.mqtt_bench import Broker, Mosquitto, Nats, Onlooker, running, until
from tests.docs import pages
from tests.journeys.gateway import Gateway

pytestmark = [pytest.mark.journey, pytest.mark.debian]

TEXT = """version: 1
connections:
  broker:
    type: mqtt
    version: "{version}"
    url: mqtt://127.0.0.1:{port}
    client_id: gw
    reconnect: {{first: 100ms, max: 1s}}
routes:
  readings:
    from: {{connection: broker, topic: "meters/{{meter}}/reading", max_body: 1KiB}}
    to: {{connection: broker, publish: "out/${{params.meter}}"}}
"""
PAGE = pages.ROOT / "docs" / "howto" / "mqtt.md"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A mosquitto."""
    folder = tmp_path / "broker"
    folder.mkdir()
    async with running(Mosquitto(folder)) as started:
        yield started


def text_for(broker: Broker) -> str:
    """The configuration for this broker."""
    return TEXT.format(port=broker.port, version=broker.version)


async def started(folder: Path, text: str) -> Gateway:
    """A gateway with this configuration, whose subscription the broker knows."""
    config = folder / "connections.yaml"
    config.write_text(text, encoding="utf-8")
    gateway = Gateway(folder / "data", config, {"METERS_PASSWORD": "x"})
    await gateway.start()
    return gateway


@pytest.mark.parametrize("kind", [Mosquitto, Nats])
async def test_kill_9_between_receipt_and_acknowledgement_loses_nothing(kind: type[Broker], tmp_path: Path) -> None:
    """Whatever the broker took from its publishers arrives at the other end, three kills notwithstanding."""
    folder = tmp_path / "broker"
    folder.mkdir()
    async with running(kind(folder)) as broker:
        await _killed_under_way(broker, tmp_path)


async def _killed_under_way(broker: Broker, tmp_path: Path) -> None:
    gateway = await started(tmp_path, text_for(broker))
    wanted = {b"%d" % number for number in range(1500)}
    try:
        await until(lambda: re.search(r"gw 1 meters/\+/reading|SUBACK", broker.said()), "the subscription")
        async with Onlooker(broker) as eye, Onlooker(broker) as hand:
            await eye.listen("out/+")
            for number in range(1500):
                hand.client.publish(f"meters/m-{number % 7}/reading", b"%d" % number, 1)
                if number % 400 == 399:
                    have = len(eye.messages)
                    await until(lambda have=have: len(eye.messages) > have, "traffic")  # type: ignore[misc]
                    await gateway.restart()
            await until(lambda: not wanted - set(eye.bodies), "the arrival of all")
    finally:
        await gateway.close()
    assert gateway.kills == 4
    assert set(eye.bodies) == wanted
    if isinstance(broker, Mosquitto):
        assert broker.repeated("gw") > 0


async def test_what_is_too_large_is_a_dead_letter_and_blocks_nobody(broker: Mosquitto, tmp_path: Path) -> None:
    """An MQTT client cannot be told no: what it sent is kept, with the reason."""
    gateway = await started(tmp_path, text_for(broker))
    try:
        await until(lambda: "gw 1 meters/+/reading" in broker.said(), "the subscription")
        async with Onlooker(broker) as eye, Onlooker(broker) as hand:
            await eye.listen("out/+")
            await hand.publish("meters/m-1/reading", b"x" * 2000)
            await hand.publish("meters/m %1/reading", b"bad name")
            await hand.publish("meters/m-1/reading", b"good")
            await until(lambda: eye.bodies == [b"good"])
        dead = await gateway.pipe("dead", "list")
    finally:
        await gateway.close()
    assert sorted(row["code"] for row in dead) == ["PIPE-3003", "PIPE-3007"], orjson.dumps(dead)


async def test_the_configuration_of_the_page_runs(broker: Mosquitto, tmp_path: Path) -> None:
    """docs/howto/mqtt.md, with another address: a reading becomes a file in the folder of its meter."""
    (block,) = pages.blocks(PAGE, "yaml")
    (tmp_path / "archive").mkdir()
    (tmp_path / "shops.keys").touch(mode=0o600)
    text = block.text.replace("mqtts://broker.meters.example:8883", f"mqtt://127.0.0.1:{broker.port}")
    gateway = await started(tmp_path, text)
    try:
        await until(lambda: "gateway-1 1 meters/+/reading" in broker.said(), "the subscription")
        async with Onlooker(broker) as hand:
            await hand.publish("meters/m-7/reading", b'{"value": 20.5}')
        await until(lambda: list((tmp_path / "archive").glob("m-7/*.json")), "the file")
    finally:
        await gateway.close()
    (file,) = (tmp_path / "archive").glob("m-7/*.json")
    assert file.read_bytes() == b'{"value": 20.5}'
