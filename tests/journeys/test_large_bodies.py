"""What large bodies take of the gateway's memory, one of them and many that wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.journeys.attacks import MIB, Siege, forget_peak, memory, most_memory, soon

pytestmark = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("others_are_served"),
]

TEXT = orjson.dumps({"text": "В будинку третій день немає води. " * (10 * MIB // 62)})
ROW = orjson.dumps({"name": "Олена Коваленко", "phone": "+380671234567", "sum": 1234, "paid": True})
OBJECTS = b'{"row":[%b]}' % b",".join([ROW] * (10 * MIB // (len(ROW) + 1)))
WAITING = 150


@pytest.fixture(autouse=True)
def quiet_partner(siege: Siege) -> None:
    """It keeps what it gets to itself."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=204)

    siege.partner.answers["/written"] = answer


async def test_ten_megabytes_take_what_their_values_take_and_the_document(siege: Siege) -> None:
    """JSON in, XML out; neither side of it lies in memory twice.

    A hundred thousand objects are large in themselves; beside them there is the XML and a few windows of text. They
    come second: the first large body pays for what is loaded and made once.
    """
    values, document = sum(sizes(orjson.loads(OBJECTS))), 13 * MIB
    assert values > 40_000_000
    assert await growth(siege, TEXT) < 40_000_000
    assert await growth(siege, OBJECTS) < values + document + 8 * MIB


async def test_large_bodies_that_wait_take_disk_and_little_memory(siege: Siege) -> None:
    """Those of a paused route: memory holds 32 MiB of them, and none of what they are decoded to."""
    await siege.gateway.ask("pause", name="written", reason="for a test")
    body = orjson.dumps({"text": "x" * (900 << 10)})
    before, seen = memory(siege.pid), len(siege.partner.seen)
    for _ in range(WAITING):
        assert (await siege.ask("/pipe/written", body)).status == 202
    grown = memory(siege.pid) - before
    await siege.gateway.ask("resume", name="written")
    await soon(lambda: len(siege.partner.seen) == seen + WAITING, 60)
    assert grown < (32 + 64 + 24) * MIB  # with the pages that SQLite keeps


async def growth(siege: Siege, body: bytes) -> int:
    """Bytes by which the gateway grew at most while a body was accepted and delivered."""
    before, seen = memory(siege.pid), len(siege.partner.seen)
    forget_peak(siege.pid)
    assert (await siege.ask("/pipe/written", body)).status == 202
    await soon(lambda: len(siege.partner.seen) > seen, 60)
    return most_memory(siege.pid) - before


def sizes(value: Any) -> Iterator[int]:
    """What the interpreter takes for a value and its parts; for keys and small numbers nothing, as they are shared."""
    if type(value) is not int or value > 256:
        yield -(-sys.getsizeof(value) // 16) * 16
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if part is not True:
            yield from sizes(part)
