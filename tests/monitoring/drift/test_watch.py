"""Which messages are looked at, what outlives a restart, and what a person's word changes; on either database."""

from __future__ import annotations

from typing import Any

import pytest

from monitoring.drift import MIGRATIONS, OPERATIONS, Drift
from pipe.contract import Receipt
from pipe.errors import BadRequest, Conflict, NotFound
from tests.pipe.house import House
from tests.pipe.operations.hosts import audited, host_of

HOUSE = """
connections:
  in: {type: memory_source, drift: false}
  out: {type: memory_sink, drift: %s}
routes:
  r: {from: {connection: in}, to: {connection: out, put: x, success: body.ok}}
"""
GOOD, OTHER = {"ok": True}, {"ok": True, "more": 1}


async def begin(house: House, drift: str = "{samples: {every: 10s, learn: 2, sure: 3}}") -> Drift:
    """A gateway whose watch learns when the test says so."""
    house.migrations = MIGRATIONS
    await house.start(HOUSE % drift)
    return await watch(house)


async def watch(house: House) -> Drift:
    """One that looks only when the test says so."""
    made = Drift(house.engine)
    await made.start()
    for task in made._tasks:
        task.cancel()
    return made


async def answer(house: House, drift: Drift, body: Any, *, wait: float = 10) -> int:
    """The partner answers a message so; returns how many answers have been learned from."""
    house.partner("out").reply = Receipt(200, body=body)
    count = len(house.partner("out").asked) + 1
    await house.put("{}")
    await house.reaches(*["delivered"] * count)
    await drift.learn()
    await house.pass_time(wait)
    return sum(each.shape.n for each in drift.samples("out"))


@pytest.mark.key("drift.samples.every")
async def test_at_most_one_message_of_a_kind_is_looked_at_in_so_long(house: House) -> None:
    """What comes between is none of its business, and costs nothing."""
    drift = await begin(house)
    assert [await answer(house, drift, GOOD, wait=4) for _ in range(6)] == [1, 1, 1, 2, 2, 2]
    assert house.engine.sampling.take() == {}


@pytest.mark.key("connections.drift", "drift.samples", "http_client.drift.samples", "soap_client.drift.samples")
@pytest.mark.parametrize("keys", ["false", "{samples: false}"])
async def test_where_nobody_wants_it_nothing_is_looked_at(house: House, keys: str) -> None:
    """Nor held."""
    drift = await begin(house, keys)
    assert await answer(house, drift, GOOD) == 0
    [found] = await OPERATIONS["drift.list"](host_of(house), name="out")
    assert (found["state"], found["watched"]) == ("off" if keys == "false" else "unknown", [])


@pytest.mark.key("drift.samples.learn", "drift.samples.sure")
async def test_a_shape_is_known_after_so_many_and_a_change_after_so_many_more(house: House) -> None:
    """Both are told by the operation, and outlive a restart; the acceptance is one row of the audit."""
    drift, states = await begin(house), []
    for body in (GOOD, GOOD, OTHER, OTHER, OTHER):
        await answer(house, drift, body)
        [found] = await OPERATIONS["drift.list"](host_of(house), name="out")
        states.append(found["state"])
    assert states == ["learning", "same", "same", "same", "changed"]
    [change] = found["watched"][0]["changes"]
    assert (change["path"], change["how"], change["after"], change["uses"]) == ("body.more", "new", "number", [])
    assert drift.count() == {"in": 0, "out": 1}
    assert drift.texts()["out"][1].startswith(
        "out: змінилося те, що дає партнер. Відповіді out у маршруті r: з’явилося"
    )
    await drift.stop()
    drift = await watch(house)
    assert drift.count()["out"] == 1
    with pytest.raises(BadRequest):
        await OPERATIONS["drift.accept"](host_of(house), name="out", reason=" ")
    with pytest.raises(NotFound):
        await OPERATIONS["drift.accept"](host_of(house), name="nobody", reason="x")
    await OPERATIONS["drift.accept"](host_of(house), name="out", reason="they told us")
    with pytest.raises(Conflict):
        await OPERATIONS["drift.accept"](host_of(house), name="out", reason="again")
    await drift.once()
    assert drift.count()["out"] == 0
    assert len(await audited(house, "drift.accepted")) == 1


async def test_what_a_person_accepts_is_not_overwritten_by_what_was_learned_before(house: House) -> None:
    """The watch that has not heard of it yet writes nothing over it."""
    drift = await begin(house)
    for body in (GOOD, GOOD, OTHER, OTHER, OTHER):
        await answer(house, drift, body)
    host = host_of(house)
    await OPERATIONS["drift.list"](host)
    sampling, host.engine.sampling = host.engine.sampling, type(host.engine.sampling)(lambda: 0.0, lambda _: None)  # type: ignore[union-attr]
    await OPERATIONS["drift.accept"](host, name="out", reason="they told us")
    accepted, house.engine.sampling = house.engine.sampling.accepted, sampling
    await answer(house, drift, OTHER)
    await sampling.keep()
    sampling.accepted |= accepted
    await drift.once()
    assert drift.count()["out"] == 0
