"""What a killed process leaves, a poisonous message, an orderly stop, and a reload under traffic."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from pipe.errors import PeerFailed, StoreFull
from pipe.inflight import InFlight
from pipe.stations import station
from pipe.store import schema
from tests.pipe.house import House

TEXT = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false, concurrency: 16}
routes:
  r:
    from: {connection: in}
    retry: {attempts: 30, first: 1s, factor: 1}
    to: {connection: out, put: x}
"""


async def test_a_message_in_work_at_a_crash_is_delivered_again_with_the_same_id(house: House) -> None:
    """K3: nobody knows whether the partner took it, so it goes again."""
    await house.start(TEXT)
    house.partner("out").hold()
    accepted = await house.put("x")
    await house.partner("out").reached(1)
    await house.crash()
    house.partner("out").release()
    await house.start(TEXT)
    (row,) = await house.done(1)
    assert (row["state"], row["crashes"], house.partner("out").ids) == ("delivered", 1, [accepted.id])


async def test_a_message_that_kills_the_process_three_times_is_a_dead_letter(house: House) -> None:
    """K8: it is buried before anything works on it again; others flow."""
    await house.start(TEXT)
    house.partner("out").hold()
    await house.put("poison")
    for n in range(3):
        await house.partner("out").reached(n + 1)
        await house.crash()
        if n < 2:
            await house.start(TEXT)
    await house.start(TEXT)
    house.partner("out").release()
    await house.put("well")
    rows = await house.done(2)
    assert [(row["state"], row["code"]) for row in rows] == [("dead", "PIPE-3014"), ("delivered", None)]
    assert len(house.partner("out").asked) == 4
    assert [row["maybe_delivered"] for row in await house.rows(select(schema.dead_letter))] == [1]


async def test_an_orderly_stop_makes_nobody_a_suspect(house: House) -> None:
    """What was cut off counts no crash."""
    await house.start(TEXT)
    house.partner("out").hold()
    await house.put("x")
    await house.partner("out").reached(1)
    await house.engine.stop(0)
    await house.store.close()
    house.running = False
    house.partner("out").release()
    await house.start(TEXT)
    (row,) = await house.done(1)
    assert (row["state"], row["crashes"]) == ("delivered", 0)


async def test_a_stop_lets_work_in_progress_end(house: House) -> None:
    """And takes up nothing new."""
    await house.start(TEXT)
    house.partner("out").hold()
    for _ in range(30):
        await house.put("x")
    await house.partner("out").reached(16)
    stopping = asyncio.create_task(house.stop())
    await asyncio.sleep(0.05)
    house.partner("out").release()
    assert await stopping
    await house.open()
    states = Counter(await house.states())
    assert states["ready"] + states["delivered"] == 30
    assert states["delivered"] == len(house.partner("out").taken)


def test_the_in_flight_file_knows_what_was_in_work(tmp_path: Path) -> None:
    """Entered and not left; a clean end leaves nothing."""
    first = InFlight(tmp_path / "f")
    first.enter(7)
    first.leave(first.enter(8))
    second = InFlight(tmp_path / "f")
    assert second.left_over == [7]
    second.enter(9)
    second.close()
    assert InFlight(tmp_path / "f").left_over == []


def test_more_than_the_in_flight_file_holds_is_still_worked_on(tmp_path: Path) -> None:
    """Without a mark, as marks are for suspicion only."""
    full = InFlight(tmp_path / "f")
    slots = [full.enter(n + 1) for n in range(4097)]
    assert (slots[-1], len(set(slots[:-1]))) == (-1, 4096)
    full.leave(-1)


async def test_more_than_memory_holds_is_delivered_exactly_once(living: House) -> None:
    """Thousands of ready messages, a thousand in memory at most; refills and arrivals do not push one twice."""
    await living.start(TEXT.replace("concurrency: 16", "concurrency: 64"))
    await living.engine.switches.set("route", "r", "paused")
    ids = [accepted.id for accepted in await asyncio.gather(*(living.put("x") for _ in range(2500)))]
    target = living.engine.stations["r", "out"]
    assert len(target.owned) <= station.IN_MEMORY
    await living.engine.switches.set("route", "r", None)
    most = 0

    async def arrive() -> None:
        nonlocal most
        for _ in range(50):
            ids.extend(accepted.id for accepted in await asyncio.gather(*(living.put("x") for _ in range(20))))
            most = max(most, len(target.owned))

    await arrive()
    await living.done(3500)
    assert most <= station.IN_MEMORY + station.READ_AT_ONCE
    assert Counter(living.partner("out").ids) == Counter(ids)
    assert target.owned == set()


async def test_large_bodies_wait_in_the_store_and_not_in_memory(living: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partner that is away costs disk: of what waits for it memory holds so many bytes, and no decoded values."""
    monkeypatch.setattr(station, "IN_MEMORY_BYTES", 10_000)
    monkeypatch.setattr(station, "LARGE", 1_000)
    await living.start(TEXT.replace("    retry", "    steps: [{decode: text}]\n    retry"))
    living.partner("out").hold()
    ids = [accepted.id for accepted in await asyncio.gather(*(living.put("x" * 3_000) for _ in range(60)))]
    target = living.engine.stations["r", "out"]
    await living.partner("out").reached(1)
    assert sum(work.size for work in target.queue) <= 10_000 + 3_000
    assert [work.decoded for work in list(target.queue)[1:] if work.decoded is not None] == []
    living.partner("out").release()
    await living.done(60)
    assert Counter(living.partner("out").ids) == Counter(ids)
    assert (target.owned, target._bytes) == (set(), 0)


@pytest.mark.parametrize(("works", "at_once", "most_bytes"), [(10, 4, 1 << 20), (1000, 500, 3)], ids=["works", "bytes"])
async def test_small_memory_and_many_retries_lose_and_repeat_nothing(
    living: House, monkeypatch: pytest.MonkeyPatch, works: int, at_once: int, most_bytes: int
) -> None:
    """The same with ten, or three bytes, in memory, keys, every third attempt failing: each is taken once, in order."""
    monkeypatch.setattr(station, "IN_MEMORY", works)
    monkeypatch.setattr(station, "READ_AT_ONCE", at_once)
    monkeypatch.setattr(station, "IN_MEMORY_BYTES", most_bytes)
    text = TEXT.replace("first: 1s", "first: 10ms").replace("    retry", "    order_by: headers.k\n    retry")
    await living.start(text)
    chance = random.Random(20261127)  # by turns, one of three in memory would fail each time
    living.partner("out").decide = lambda outgoing: PeerFailed("no") if chance.random() < 1 / 3 else None
    order: dict[int, list[str]] = {}

    async def send(k: int) -> None:
        order[k] = [(await living.put("x", headers={"k": str(k)})).id for _ in range(20)]

    await asyncio.gather(*(send(k) for k in range(20)))
    await living.done(400)
    got: dict[int, list[str]] = {}
    for outgoing in living.partner("out").taken:
        got.setdefault(int(outgoing.message.headers["k"]), []).append(outgoing.message.id)
    assert got == order


async def test_reloads_under_traffic_lose_and_repeat_nothing(living: House) -> None:
    """Stations, connections and doors are exchanged twenty times while messages flow."""
    await living.start(TEXT)
    ids: list[str] = []

    async def slow(_outgoing: object) -> None:
        await asyncio.sleep(0.002)

    living.partner("out").decide = slow

    async def send() -> None:
        ids.extend([(await living.put("x")).id for _ in range(60)])

    async def reload() -> None:
        for n in range(20):
            await asyncio.sleep(0.01)
            await living.reload(
                TEXT.replace("concurrency: 16", f"concurrency: {8 + n % 3}").replace(
                    "attempts: 30", f"attempts: {20 + n}"
                )
            )

    await asyncio.gather(*(send() for _ in range(10)), reload())
    await living.done(600)
    assert Counter(living.partner("out").ids) == Counter(ids)


async def test_a_reload_that_removes_a_route_keeps_its_messages(house: House) -> None:
    """They wait in the store until the route is there again."""
    await house.start(TEXT)
    house.partner("out").script = [PeerFailed("no")]
    await house.put("x")
    await house.reaches("retry")
    await house.reload(TEXT.split("routes:", maxsplit=1)[0] + "routes: {}\n")
    await house.pass_time(10)
    await house.reaches("ready")
    await house.reload(TEXT)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]


async def test_a_retry_is_sent_what_the_steps_made_the_first_time(house: House) -> None:
    """Another revision of the steps does not change a message that has begun."""
    text = TEXT.replace("    to:", "    steps: [{decode: json}, {map: {v: \"'one'\"}}]\n    to:")
    await house.start(text)
    house.partner("out").script = [PeerFailed("no")]
    await house.put("{}")
    await house.reaches("retry")
    await house.crash()
    await house.start(text.replace("one", "two"))
    await house.put("{}")
    await house.pass_time(5)
    await house.done(2)
    assert sorted(house.partner("out").bodies) == [b'{"v":"one"}', b'{"v":"two"}']


async def test_a_full_store_delays_outcomes_and_loses_none(house: House) -> None:
    """F1: while outcomes cannot be written the message is neither dead nor sent again; with room it is delivered."""
    await house.start(TEXT)
    house.partner("out").hold()
    await house.put("x")
    await house.partner("out").reached(1)
    real = house.store.write

    def refuses(unit: object) -> asyncio.Future[object]:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.set_exception(StoreFull("no room"))
        return future

    house.store.write = refuses  # type: ignore[assignment,method-assign]
    house.partner("out").release()
    await house.pass_time(5)
    house.store.write = real  # type: ignore[method-assign]
    await house.pass_time(5)
    assert [row["state"] for row in await house.done(1)] == ["delivered"]
    assert len(house.partner("out").asked) == 1
