"""Order per key: across retries, restarts and failures, and what becomes of a key that is stuck."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict

import pytest
from sqlalchemy import select, update

from pipe.contract import Outgoing
from pipe.errors import NoAnswer, PeerFailed, PipeError, Refused
from pipe.store import schema
from tests.pipe.house import House

HEAD = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false, concurrency: 16}
  other: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    order_by: body.k
    steps: [{decode: json}]
"""
ONE = (
    HEAD
    + "    retry: {attempts: 20, first: 10s, factor: 1, max: 10s, within: 1h}\n"
    + "    on_stuck: {hold: 2h}\n    to: {connection: out, put: x}\n"
)


def key(outgoing: Outgoing) -> str:
    """The key of what a partner got."""
    return str(json.loads(outgoing.message.body)["k"])


@pytest.mark.key("routes.order_by")
async def test_a_retrying_message_holds_only_its_own_key(house: House) -> None:
    """What came after it with the same key waits; other keys pass."""
    await house.start(ONE)
    house.partner("out").script = [PeerFailed("no")]
    await house.put('{"k": "a", "n": 1}')
    await house.reaches("retry")
    await house.put('{"k": "a", "n": 2}')
    await house.put('{"k": "b", "n": 3}')
    await house.reaches("retry", "held", "delivered")
    await house.pass_time(11)
    await house.done(3)
    assert house.partner("out").bodies == [b'{"k":"b","n":3}', b'{"k":"a","n":1}', b'{"k":"a","n":2}']


async def test_order_holds_over_a_restart(house: House) -> None:
    """The waiting and the held ones come back in the order of acceptance."""
    await house.start(ONE)
    house.partner("out").script = [PeerFailed("no")]
    for n in range(5):
        await house.put(f'{{"k": "a", "n": {n}}}')
    await house.reaches("retry", *["held"] * 4)
    await house.crash()
    await house.start(ONE)
    await house.put('{"k": "a", "n": 5}')
    await house.pass_time(11)
    await house.done(6)
    assert house.partner("out").bodies == [b'{"k":"a","n":%d}' % n for n in range(6)]


async def test_a_dead_letter_lets_the_next_of_its_key_go(house: House) -> None:
    """A permanent failure releases the key at once."""
    await house.start(ONE)
    house.partner("out").script = [Refused("no")]
    house.partner("out").hold()
    for n in range(3):
        await house.put(f'{{"k": "a", "n": {n}}}')
    await house.reaches("ready", "held", "held")
    house.partner("out").release()
    assert [row["state"] for row in await house.done(3)] == ["dead", "delivered", "delivered"]


@pytest.mark.key("routes.on_stuck", "routes.on_stuck.hold", "routes.on_stuck.then")
async def test_a_key_is_held_no_longer_than_on_stuck_says(house: House) -> None:
    """Then its message is dead, of class `stuck`, and the key goes on."""
    await house.start(ONE.replace("hold: 2h", "hold: 25s"))
    house.partner("out").decide = lambda outgoing: PeerFailed("no") if outgoing.message.body.endswith(b"1}") else None
    await house.put('{"k": "a", "n": 1}')
    await house.put('{"k": "a", "n": 2}')
    await house.pass_time(60)
    assert [row["state"] for row in await house.done(2)] == ["dead", "delivered"]
    assert [row["class"] for row in await house.rows(select(schema.dead_letter))] == ["stuck"]


async def test_an_uncertain_message_holds_its_key_no_longer_than_on_stuck_says(house: House) -> None:
    """Nobody came: it is dead and may have been delivered; the key goes on."""
    await house.start(ONE.replace("hold: 2h", "hold: 30m"))
    house.partner("out").script = [NoAnswer("silence")]
    await house.put('{"k": "a", "n": 1}')
    await house.put('{"k": "a", "n": 2}')
    await house.reaches("uncertain", "held")
    await house.pass_time(1700)
    assert await house.states() == ["uncertain", "held"]
    await house.pass_time(200)
    assert [row["state"] for row in await house.done(2)] == ["dead", "delivered"]
    assert [row["maybe_delivered"] for row in await house.rows(select(schema.dead_letter))] == [1]


async def test_hold_stands_still_while_the_connection_is_down(house: House) -> None:
    """A partner that is away for a day kills nothing."""
    await house.start(ONE.replace("hold: 2h", "hold: 1m"))
    house.partner("out").down = True
    await house.put('{"k": "a"}')
    await house.pass_time(86400)
    assert (await house.deliveries())[0]["state"] in ("ready", "retry")
    house.partner("out").down = False
    await house.pass_time(120)
    await house.done(1)
    assert await house.states() == ["delivered"]


async def test_order_is_kept_per_target(house: House) -> None:
    """A key that waits for one target goes on to the other."""
    await house.start(
        HEAD
        + "    retry: {attempts: 9, first: 10s, factor: 1}\n"
        + "    to: [{connection: out, put: x}, {connection: other, put: x}]\n"
    )
    house.partner("out").script = [PeerFailed("no")]
    for n in range(3):
        await house.put(f'{{"k": "a", "n": {n}}}')
    await house.until(lambda: _are(house, "other", ["delivered"] * 3))
    await house.until(lambda: _are(house, "out", ["retry", "held", "held"]))
    await house.pass_time(11)
    await house.done(6)
    assert house.partner("out").bodies == house.partner("other").bodies


async def _are(house: House, station: str, states: list[str]) -> bool:
    return await house.states(schema.delivery.c.station == station) == states


async def test_an_expired_message_in_the_middle_leaves_the_order_of_the_others(house: House) -> None:
    """It is taken out of its key's line without moving anyone else."""
    await house.start(ONE)
    house.partner("out").script = [PeerFailed("no")]
    for n in range(3):
        await house.put(f'{{"k": "a", "n": {n}}}')
    await house.reaches("retry", "held", "held")
    soon = update(schema.delivery).where(schema.delivery.c.id == 2).values(expires_at=house.clock.now() + 1)
    await house.store.write(lambda tx: tx.execute(soon) and None)
    house.engine.scheduler.due(0.0)
    await house.pass_time(3)
    await house.reaches("retry", "expired", "held")
    await house.pass_time(11)
    await house.reaches("delivered", "expired", "delivered")


async def test_a_thousand_messages_of_ten_keys_arrive_in_order_through_failures_and_a_crash(house: House) -> None:
    """L5: per key, what was taken is in the order of acceptance; what is dead is missing, nothing is there twice."""
    chance = random.Random(20261123)
    await house.start(ONE.replace("first: 10s, factor: 1, max: 10s", "first: 1s, factor: 1, max: 1s"))
    killed: set[str] = set()

    def decide(outgoing: Outgoing) -> PipeError | None:
        draw = chance.random()
        if draw < 0.01:
            killed.add(outgoing.message.id)
            return Refused("no")
        return PeerFailed("not now") if draw < 0.06 else None

    house.partner("out").decide = decide
    order: dict[str, list[str]] = defaultdict(list)

    async def send(k: int) -> None:
        for n in range(100):
            order[str(k)].append((await house.put(f'{{"k": "{k}", "n": {n}}}')).id)

    await asyncio.gather(*(send(k) for k in range(10)))
    await house.pass_time(10)
    await house.crash()
    await house.start(ONE)

    async def none_left() -> bool:
        await house.pass_time(15)
        return await house.count(schema.delivery, schema.delivery.c.done_at.is_(None)) == 0

    await house.until(none_left)
    got: dict[str, list[str]] = defaultdict(list)
    for outgoing in house.partner("out").taken:
        if outgoing.message.id not in got[key(outgoing)]:  # one that was in work at the crash may come twice
            got[key(outgoing)].append(outgoing.message.id)
    assert got == {k: [id_ for id_ in ids if id_ not in killed] for k, ids in order.items()}
