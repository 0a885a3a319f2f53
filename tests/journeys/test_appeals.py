"""An appeal's way through the whole gateway, with everything that may come in between."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.journeys.conftest import World, until
from tests.journeys.ledger import check

pytestmark = pytest.mark.journey

PHONES = [f"+38067000000{n}" for n in range(8)]


async def test_an_appeal_arrives_as_xml(world: World) -> None:
    """JSON in, the register's own XML out, and every book says so."""
    await world.client.hand_in(PHONES[0], 0)
    found = await world.settled()
    assert check(found) == []
    assert [(row.answer, row.meaning) for row in found.seen] == [("ok", f"{PHONES[0]}|Звернення 0 від {PHONES[0]}")]


async def test_what_was_accepted_outlives_a_kill_and_arrives_in_order(world: World) -> None:
    """The register is down, appeals are accepted, the gateway is killed; both come back, and all arrive in order."""
    await world.tell("stop")
    for n in range(5):
        await asyncio.gather(*(world.client.hand_in(phone, n) for phone in PHONES))
    await world.gateway.kill9()
    await world.tell("start")
    await world.gateway.start()
    found = await world.settled()
    assert check(found) == []
    assert len(found.seen) == 5 * len(PHONES)


async def test_a_kill_while_the_register_works_is_repeated_with_the_same_key(world: World) -> None:
    """The register has done its work and not answered yet: the second attempt makes no second row."""
    await world.tell("hang", "done=yes", "for=1")
    row = await world.client.hand_in(PHONES[0], 0)
    seen = world.partners.stand_ins["registry"].recorder

    async def arrived() -> bool:
        return seen.count == 1

    await until(arrived)
    await world.gateway.restart()
    found = await world.settled(in_flight=1)
    assert check(found) == []
    assert [(seen.id, seen.answer) for seen in found.seen] == [(row.id, "none"), (row.id, "ok")]
    assert len(world.partners.stand_ins["registry"].rows) == 1


async def test_the_books_balance_whenever_it_is_killed(world: World) -> None:
    """Killed at five random moments under traffic: nothing is lost, invented, changed or out of order."""
    stop = asyncio.Event()

    async def traffic(phone: str) -> int:
        n = 0
        while not stop.is_set():
            await world.client.hand_in(phone, n)
            n += 1
        return n

    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(traffic(phone)) for phone in PHONES]
        for _ in range(5):
            await asyncio.sleep(random.uniform(0.2, 1.2))
            await world.gateway.restart()
        stop.set()
    found = await world.settled(in_flight=len(PHONES))
    assert check(found) == []
    rows = {row.id for row in found.sent if row.outcome == "accepted"}
    assert len(world.partners.stand_ins["registry"].rows) == len(rows) == sum(task.result() for task in callers)


async def test_a_misbehaving_register_gets_everything_in_the_end(world: World) -> None:
    """503, resets, half answers and silence: each appeal arrives, in order, and is registered once."""
    manners = (["fail", "503"], ["reset"], ["reset", "done=yes"], ["truncate"], ["garbage"], ["hang"])
    for n, manner in enumerate(manners):
        await world.tell(*manner, "for=3")
        await asyncio.gather(*(world.client.hand_in(phone, n) for phone in PHONES[:2]))
    found = await world.settled(in_flight=100)
    assert check(found) == []
    assert len(world.partners.stand_ins["registry"].rows) == 2 * len(manners)
