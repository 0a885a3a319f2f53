"""A process that gets no more memory: clear answers, no half of anything, and it goes on when there is some again."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.journeys.attacks import MIB, asked
from tests.journeys.conftest import World, a_world
from tests.journeys.ledger import check
from tests.torture.crash import TORTURE, sound
from tests.torture.nursery import Reared

pytestmark = [pytest.mark.journey, pytest.mark.debian]

PHONE, OTHER = "+380670000001", "+380670000002"
ROWS = [{"name": "Олена", "phone": PHONE}] * 160_000
"""in JSON some megabytes, in memory a multiple"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A running gateway out of the nursery; its partners keep their books elsewhere."""
    async with a_world(tmp_path, TORTURE, kind=Reared, apart=True) as made:
        await made.gateway.start()
        yield made


def limited(world: World, room: int | None) -> None:
    """Lets the gateway's process take so many bytes more than it has; None: as many as it likes."""
    process = world.gateway.process
    assert process is not None
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
    most = resource.RLIM_INFINITY if room is None else pages * 4096 + room
    resource.prlimit(process.pid, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


async def test_what_finds_no_memory_is_refused_and_all_else_goes_on(world: World) -> None:
    """A large body hears 503 PIPE-4010, small ones pass meanwhile; with memory back it is taken."""
    gateway = world.gateway
    await world.client.hand_in(PHONE, 0)
    limited(world, 16 * MIB)
    body = orjson.dumps({"applicant": {"name": "Олена", "phone": OTHER}, "text": "Без книги", "rows": ROWS})
    fields = ("Idempotency-Key: another", "Content-Type: application/json")
    assert (await asked(gateway.address, "/pipe/appeals", body, *fields)).verdict[:2] == (503, "PIPE-4010")
    await world.client.hand_in(PHONE, 1)
    limited(world, None)
    await world.client.hand_in(OTHER, 0, rows=ROWS)
    assert check(await world.settled()) == []
    sound(gateway.data)
