"""A gateway that is killed again and again, and one that finds very much to do when it starts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.journeys.books import quiet, seen
from tests.journeys.conftest import World, a_world, until
from tests.journeys.ledger import check
from tests.torture import rows
from tests.torture.crash import TORTURE, sound
from tests.torture.nursery import Reared

pytestmark = [pytest.mark.journey, pytest.mark.debian]

DEEP = os.environ.get("PIPE_DEEP") == "1"
PHONES = [f"+38067000000{n}" for n in range(4)]
LIVES = 100 if DEEP else 12


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway out of the nursery that does not run yet."""
    async with a_world(tmp_path, TORTURE, kind=Reared, apart=True) as made:
        yield made


@pytest.mark.timeout(600 if DEEP else 120)
async def test_a_gateway_killed_every_200_ms_gets_on_and_loses_nothing(world: World) -> None:
    """Each life has 200 ms from the moment at which it is ready; what clients hand in meanwhile all arrives."""
    stop = asyncio.Event()

    async def traffic(phone: str) -> int:
        n = 0
        while not stop.is_set():
            await world.client.hand_in(phone, n)
            n += 1
        return n

    await world.gateway.start()
    callers = [asyncio.create_task(traffic(phone)) for phone in PHONES]
    progress = []
    for _ in range(LIVES):
        await asyncio.sleep(0.2)
        progress.append(sum(row.outcome == "accepted" for row in world.client.rows))
        await world.gateway.kill9()
        await world.gateway.start()
    stop.set()
    await asyncio.gather(*callers)
    await replay_the_set_aside(world)
    found = await world.settled(in_flight=2 * len(PHONES))
    assert check(found) == []
    assert progress[0] < progress[len(progress) // 2] < progress[-1]
    assert await world.gateway.stop() == 0
    sound(world.gateway.data)


async def replay_the_set_aside(world: World) -> None:
    """What was in work in three crashes is set aside as suspect: a person sends it again."""
    await until(lambda: quiet(world.gateway), 60)
    letters = await world.gateway.ask("dead.list", limit=100_000)
    assert {letter["class"] for letter in letters} <= {"poison"}
    world.replayed |= {letter["message_id"] for letter in letters}
    if letters:
        await world.gateway.ask("dead.replay", which={"ids": sorted(world.replayed)}, reason="it was no poison")


async def test_a_gateway_killed_before_it_is_ready_starts_all_the_same(world: World) -> None:
    """Twenty times, later and later: from the first instruction to the last before it listens."""
    await world.gateway.start()
    await world.client.hand_in(PHONES[0], 0)
    await world.gateway.kill9()
    for n in range(20):
        await world.gateway.spawn()
        await asyncio.sleep(0.01 * n)
        await world.gateway.kill9()
    await world.gateway.start()
    await replay_the_set_aside(world)
    assert check(await world.settled(in_flight=1)) == []


async def test_fifty_thousand_that_wait_are_found_again_and_go_out_in_order(world: World) -> None:
    """Restarted, killed in the middle and restarted; the first of every key goes first, and the books agree."""
    await rows.fill(world.gateway.data, pending=50_000)
    await world.tell("stop")
    await world.gateway.start(within=60)
    await world.gateway.kill9()
    await world.tell("start")
    await world.gateway.start(within=60)
    recorder = world.partners.stand_ins["registry"].recorder
    await until(lambda: beyond(lambda: recorder.count, 500), 60)
    await world.gateway.kill9()
    await world.gateway.start(within=60)
    await until(lambda: beyond(lambda: recorder.count, 1000), 60)
    verified = await world.gateway.ask("ledger.verify")
    assert (verified["wrong"], verified["deliveries"]) == ([], 50_000)
    assert overtaken(world) == []


@pytest.mark.deep
@pytest.mark.timeout(1800)
async def test_a_million_that_wait_are_taken_up_within_five_seconds(world: World) -> None:
    """Processor time from the start to `/ready`, so that a busy machine proves nothing; and with crashes in between."""
    await rows.fill(world.gateway.data, pending=1_000_000)
    await world.tell("stop")
    for _ in range(3):
        await world.gateway.start(within=100)
        assert world.gateway.process is not None
        used = processor_seconds(world.gateway.process.pid)
        await world.gateway.kill9()
        assert used < 5


def processor_seconds(pid: int) -> float:
    """What a process has used since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def overtaken(world: World) -> list[str]:
    """Confirmed texts that arrived before an earlier one of their phone; what a crash repeated is no offence."""
    latest: dict[str, int] = {}
    wrong = []
    for row in seen(world.house / "partners/registry/seen.jsonl"):
        phone, text = row.meaning.split("|")
        number = int(text.rpartition(" ")[2])
        if row.answer == "ok":
            wrong += [row.meaning] if number < latest.get(phone, 0) else []
            latest[phone] = number
    return wrong


async def beyond(count: Callable[[], int], least: int) -> bool:
    """Whether there are so many already."""
    return count() >= least
